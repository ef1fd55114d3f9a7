"""What the ward says, put on Kafka: alerts first, each bed's on the partition of its frames' number, and timed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Final

import structlog

from stream import kafka, topics, wire
from stream.checkpoint import Checkpoints
from stream.frames import Frame
from stream.latency import Timings, deciding
from stream.metrics import Metrics, Stage
from stream.protocols import Analysis, AnalysisOutput
from stream.publisher import Acknowledged, Publisher
from stream.settings import KafkaSettings
from stream.suspension import SuspensionGuard
from stream.wire import Alert, Rule

MOST_WAITING: Final = kafka.BATCH_BYTES // 2  # bytes for a partition; one turn says less than the other half

log = structlog.get_logger()


class OutputSender:
    """Sends one worker's output.

    Parameters
    ----------
    cluster : KafkaSettings
    publisher : Publisher
    checkpoints : Checkpoints
        Know where each bed is at home, and which of its alerts stand.
    ward : Analysis
        Whose output it is.
    guard : SuspensionGuard
        Checked before anything is sent.
    metrics, timings : Metrics, Timings
        Told of everything.
    clock : callable
        Seconds since the Unix epoch.
    """

    def __init__(
        self,
        cluster: KafkaSettings,
        publisher: Publisher,
        checkpoints: Checkpoints,
        ward: Analysis,
        guard: SuspensionGuard,
        metrics: Metrics,
        timings: Timings,
        clock: Callable[[], float],
    ) -> None:
        self._publisher = publisher
        self._checkpoints = checkpoints
        self._ward = ward
        self._guard = guard
        self._metrics = metrics
        self._timings = timings
        self._clock = clock
        self._beats_topic = kafka.topic(cluster, topics.BEATS)
        self._alerts_topic = kafka.topic(cluster, topics.ALERTS)
        self._topics = (self._beats_topic, self._alerts_topic)

    async def send_output(self, said: AnalysisOutput, frames: Sequence[Frame]) -> None:
        """Hand everything to the producer, alerts first; acknowledgements come later and are timed then.

        Parameters
        ----------
        said : Said
        frames : sequence of Frame
            From which it follows; none if from something else.

        Raises
        ------
        KafkaError
            If something can never be delivered, or the process has stood still.
        """
        self._guard.check()
        homes = self._checkpoints.homes
        for alert in said.alerts:
            await self.send_alert(alert, homes[alert.bed], partial(self._alert_acknowledged, deciding(alert, frames)))
            if alert.state == "raised":
                self._metrics.raised(Rule[alert.rule.upper()], alert.priority)
        for batch in said.batches:
            for beat in batch.beats:
                self._metrics.beat(beat.label)
            key, value = batch.bed.encode(), wire.encode_batch(batch)
            await self._publisher.send(self._beats_topic, key, value, homes[batch.bed], self._acknowledged)
        for kind, count in said.events.items():
            self._metrics.event(kind, count)
        if said.faults:
            await self._see_to(said.faults)

    def has_room(self, partition: int) -> bool:
        """Whether Kafka takes what is said of the beds of a partition, or not much of it waits yet.

        Where it has no leader it may wait for long. More than the producer has room for would keep all others waiting.
        """
        return all(self._publisher.waiting(topic, partition) < MOST_WAITING for topic in self._topics)

    async def send_alert(self, alert: Alert, partition: int, acknowledged: Acknowledged | None = None) -> None:
        """Say how an alert stands, unless the process has stood still since it was decided."""
        self._guard.check()
        message = wire.encode_alert(alert)
        await self._publisher.send(self._alerts_topic, alert.id.encode(), message, partition, acknowledged)
        self._checkpoints.told(alert, message)

    async def _see_to(self, faults: Sequence[tuple[str, Exception]]) -> None:
        """Of a bed that met a bug no alert is to stand of which its ward knows nothing."""
        known = self._ward.beds
        for bed, error in faults:
            log.error("bed learns anew after a fault", bed=bed, error=repr(error))
            if (home := self._checkpoints.homes.get(bed)) is not None:
                for alert in self._checkpoints.orphans(bed, known[bed].active if bed in known else ()):
                    await self.send_alert(alert, home)
            if bed not in known:
                self._checkpoints.lost(bed)

    def _acknowledged(self, _: int, seconds: float) -> None:
        self._timings.observe(Stage.PUBLISH, seconds)

    def _alert_acknowledged(self, frame: Frame | None, _: int, seconds: float) -> None:
        self._timings.observe(Stage.PUBLISH, seconds)
        self._metrics.alert_publishes.inc()
        if frame is not None:
            self._timings.alerted(self._clock() - frame.ingest_time_us / 1e6)
