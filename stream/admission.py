"""What has come from Kafka, message by message: which of it is new to the ward, and what of it cannot be used."""

from __future__ import annotations

import time
from collections.abc import Iterable

import structlog

from stream.checkpoint import Checkpoints
from stream.consumer import Message
from stream.frames import Frame
from stream.latency import Timings
from stream.metrics import Metrics, Stage
from stream.protocols import Analysis
from stream.silence import SilenceTracker

log = structlog.get_logger()


class Admission:
    """Counts what one worker reads, and knows which frames its ward has seen.

    Parameters
    ----------
    ward : Analysis
        Told of beds of which nothing can be read.
    checkpoints : Checkpoints
        Know what has been read.
    silence : SilenceTracker
        Told of the same beds.
    metrics, timings : Metrics, Timings
        Told of everything.
    """

    def __init__(
        self, ward: Analysis, checkpoints: Checkpoints, silence: SilenceTracker, metrics: Metrics, timings: Timings
    ) -> None:
        self._ward = ward
        self._checkpoints = checkpoints
        self._silence = silence
        self._metrics = metrics
        self._timings = timings

    def admit(self, messages: Iterable[Message], received: float) -> list[Frame]:
        """The frames the ward has not seen; they count as read from here on.

        Parameters
        ----------
        messages : iterable of Message
        received : float
            When they were fetched, seconds since the Unix epoch.
        """
        frames = []
        for message in messages:
            progress = self._checkpoints.progress_of[message.partition]
            if not progress.advance(message.offset):
                continue
            self._metrics.frames.inc()
            if message.frame is None:
                self._reject(message, received)
            elif self._checkpoints.admits(message.partition, message.bed, message.offset):
                frames.append(message.frame)
                sent_us = message.frame.ingest_time_us
                progress.frame_s = message.frame.instants * 1000 / message.frame.rate_mHz
                self._metrics.samples.inc(message.frame.instants)
                self._timings.observe(Stage.INGEST, received - sent_us / 1e6)
        return frames

    def _reject(self, message: Message, received: float) -> None:
        """Count what is no frame; a bed that was never heard is awaited from now on, or nobody would miss it."""
        assert message.error is not None
        self._metrics.rejected(message.error.reason)
        where = {"bed": message.bed, "partition": message.partition, "offset": message.offset}
        log.warning("frame rejected", reason=message.error.reason, detail=message.error.detail, **where)
        if message.is_bed and message.bed not in self._checkpoints.homes:
            now_us = int(received * 1e6)
            self._ward.expect(message.bed, now_us)
            self._checkpoints.admits(message.partition, message.bed, message.offset)
            self._silence.heard(message.bed, message.partition, now_us, time.monotonic())
