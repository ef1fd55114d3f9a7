"""A ward that knows no medicine, for tests of the shell around it.

A beat at every `BEAT`th sample, an alert while a sample above `LOUD` is no more than `HOLD` samples back. What it says
depends on every sample since the bed began (`token` is a checksum over them all), and not on how they are cut.
"""

from __future__ import annotations

import dataclasses
import zlib
from collections import Counter
from collections.abc import Mapping, Sequence

import msgspec
import numpy as np

from stream.errors import ModelError
from stream.frames import Frame
from stream.intake import Event, StreamPosition
from stream.wire import Alert, Batch, Beat, Rule, alert_id

BEAT = 100
LOUD = 1000
HOLD = 250
VERSION = 7


class State(msgspec.Struct):
    version: int = VERSION
    next_sample: int = 0
    checksum: int = 0
    rate_mHz: int = 250_000
    onset: int = -1  # of the loud stretch
    loud: int = -1  # last loud sample
    silent: int = -1  # onset of silence
    device_us: int = 0
    ingest_us: int = 0


@dataclasses.dataclass
class Output:
    batches: list[Batch] = dataclasses.field(default_factory=list)
    alerts: list[Alert] = dataclasses.field(default_factory=list)
    events: Counter[Event] = dataclasses.field(default_factory=Counter)
    faults: list[tuple[str, Exception]] = dataclasses.field(default_factory=list)
    heard: dict[str, int] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass
class View:
    last_ingest_time_us: int
    leads: Sequence[int]
    active: frozenset[Rule]


class FakeWard:
    def __init__(self) -> None:
        self._states: dict[str, State] = {}
        self._said = Output()

    @property
    def beds(self) -> Mapping[str, View]:
        return {
            bed: View(s.ingest_us, (0, 0), frozenset({Rule.BED_SILENT} if s.silent >= 0 else ()))
            for bed, s in self._states.items()
        }

    def detect(self, frames: Sequence[Frame]) -> None:
        seconds: Counter[str] = Counter()
        for frame in frames:
            seconds[frame.bed] += frame.instants * 1000 / frame.rate_mHz  # type: ignore[assignment]
            self._take(frame)
        assert all(s <= 1.0 + 1e-9 for s in seconds.values()), "more than a second of a bed in one step"

    def judge(self) -> Output:
        said, self._said = self._said, Output()
        return said

    def silence(self, bed: str, now_us: int) -> Output:
        state = self._states[bed]
        said = Output()
        if state.silent < 0:
            state.silent = state.next_sample
            said.alerts.append(self._alert(bed, Rule.BED_SILENT, state.silent, state.silent, None))
        return said

    def snapshot(self, bed: str) -> bytes:
        return msgspec.json.encode(self._states[bed])

    def restore(self, bed: str, data: bytes) -> None:
        try:
            state = msgspec.json.decode(data, type=State)
        except msgspec.DecodeError as error:
            raise ModelError(str(error)) from None
        if state.version != VERSION:
            raise ModelError(f"version {state.version}")
        self._states[bed] = state

    def position(self, bed: str) -> StreamPosition:
        s = self._states[bed]
        return StreamPosition(s.rate_mHz, s.next_sample, 0, s.device_us, s.device_us, s.ingest_us, 0, 0, 0, "", ())

    def begin(self, bed: str, position: StreamPosition) -> Output:
        self._states[bed] = State(
            next_sample=position.next_sample,
            rate_mHz=position.rate_mHz,
            device_us=position.device_us,
            ingest_us=position.ingest_us,
        )
        alert = self._alert(bed, Rule.RELEARNING, position.next_sample, position.next_sample, None)
        return Output(alerts=[alert])

    def expect(self, bed: str, now_us: int) -> None:
        self._states[bed] = State(ingest_us=now_us)

    def forget(self, bed: str) -> None:
        del self._states[bed]

    def _take(self, frame: Frame) -> None:
        state = self._states.setdefault(frame.bed, State())
        state.rate_mHz = frame.rate_mHz
        state.ingest_us = frame.ingest_time_us
        if frame.first_sample + frame.instants <= state.next_sample:
            self._said.events[Event.DUPLICATE] += 1
            return
        self._said.heard[frame.bed] = frame.ingest_time_us
        if state.silent >= 0:
            self._said.alerts.append(
                self._alert(frame.bed, Rule.BED_SILENT, state.silent, state.silent, frame.first_sample)
            )
            state.silent = -1
        if frame.first_sample > state.next_sample:
            self._said.events[Event.GAP] += 1
            state.next_sample = frame.first_sample
        beats = []
        for at in range(state.next_sample, frame.first_sample + frame.instants):
            sample = frame.samples[at - frame.first_sample]
            state.checksum = zlib.crc32(sample.tobytes(), state.checksum)
            if at % BEAT == 0:
                beats.append(Beat(at, "N", 1.0, state.checksum % 1000, 400.0, 0.0, 0.0))
            if int(np.abs(sample).max()) > LOUD:
                if state.onset < 0:
                    state.onset = at
                    self._said.alerts.append(self._alert(frame.bed, Rule.NOISY, at, at, None))
                state.loud = at
            elif state.onset >= 0 and at - state.loud >= HOLD:
                self._said.alerts.append(self._alert(frame.bed, Rule.NOISY, state.onset, state.onset, at))
                state.onset = -1
        state.next_sample = frame.first_sample + frame.instants
        state.device_us = frame.device_time_us + frame.instants * 10**9 // frame.rate_mHz
        if beats:
            self._said.batches.append(Batch(frame.bed, frame.rate_mHz, tuple(beats), (), ()))

    def _alert(self, bed: str, rule: Rule, onset: int, decided: int, cleared: int | None) -> Alert:
        return Alert(
            id=alert_id(bed, rule.label, onset),
            bed=bed,
            rule=rule.label,
            kind="technical",
            priority="low",
            state="raised" if cleared is None else "cleared",
            rate_hz=250.0,
            onset_sample=onset,
            onset_time="",
            decided_sample=decided,
            decided_time="",
            evidence={"checksum": float(self._states[bed].checksum)},
            cleared_sample=cleared,
        )


def main() -> None:
    """`telebeat monitor` with this ward, as a process of its own: settings come from variables."""
    from stream import logs, serve, settings

    chosen = settings.load()
    logs.configure("json", "info")
    serve.main(chosen, settings.load_kafka(), FakeWard())


if __name__ == "__main__":
    main()
