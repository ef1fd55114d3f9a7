"""The ward: all beds of one worker. Frames in, beats, marks and alerts out; no clock, no I/O, no asyncio."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from detector.scratch import new_scratch
from detector.types import LEADS, RATE
from model.reader import Reader
from model.state import LANGUAGE
from stream import bed as beds
from stream import conditions, intake, rhythm, rules_height, second_device
from stream.collector import Collector, Output
from stream.errors import SnapshotError
from stream.frames import INVALID, Frame
from stream.limits import DEFAULTS, Limits, pack
from stream.sample_queue import SampleQueue
from stream.views import BedView, views
from stream.wire import Rule

FIRST_ROWS: Final = 16  # beds for which there is room at the start; the table doubles as they come
OF_LEADS: Final = tuple(Rule(int(rule)) for rule in conditions.FAULTS)  # alerts that name leads
UNSETTLED_S: Final = conditions.UNSETTLED / RATE


class Ward:
    """All beds of one worker.

    Parameters
    ----------
    reader : model.reader.Reader
        The trained model.
    limits : Limits, optional
        Of every bed.

    Notes
    -----
    Call `detect` and `judge` in turn; the shell times each. Any cutting of a bed's samples into frames, and of frames
    into calls, gives the same output in the same order for that bed.
    """

    def __init__(self, reader: Reader, limits: Limits | None = None) -> None:
        self._weights = reader.weights
        self._signature = beds.signature(reader)
        self._limits = pack(limits or DEFAULTS)
        self._table = np.zeros(FIRST_ROWS, beds.BED)
        self._scratch = new_scratch()
        self._rows: dict[str, int] = {}
        self._free = list(range(FIRST_ROWS - 1, -1, -1))
        self._queue = SampleQueue()
        self._collector = Collector()

    def detect(self, frames: Sequence[Frame]) -> None:
        """Put frames in order and run the detector over their samples; each must have passed `frames.check`."""
        for frame in frames:
            new = True
            try:
                new = self._take(frame)
            except Exception as error:  # a bug met by one bed must not take the ward from the others
                self._quarantine(frame.bed, error, frame)
            if new:
                self._collector.output.heard[frame.bed] = frame.ingest_time_us
        self._run()

    def judge(self) -> Output:
        """Read the beats and run the rules over everything detected since the last call."""
        self._judge()
        return self._collector.take()

    def silence(self, bed: str, now_us: int) -> Output:
        """Raise "bed silent": nothing came from this bed up to `now_us` of its gateway, and nothing was left."""
        row = self._rows.get(bed)
        if row is not None:
            intake_row = self._table[row]["intake"]
            onset = int(intake_row["next_sample"])
            silent_s = max(now_us - int(intake_row["ingest_us"]), 0) / 1e6
            self._raise(bed, Rule.BED_SILENT, onset, onset, silent_s)
        return self._collector.take()

    @property
    def beds(self) -> Mapping[str, BedView]:
        """Every bed there is state of."""
        return views(self._table, self._rows)

    def snapshot(self, bed: str) -> bytes:
        """Everything known of a bed, between two calls of `judge`."""
        row: bytes = self._table[self._rows[bed]].tobytes()
        return self._signature + row

    def restore(self, bed: str, data: bytes) -> None:
        """Go on from a `snapshot`.

        Raises
        ------
        SnapshotError
            It was taken by another version, with another model, or is damaged.
        """
        size = len(self._signature) + beds.BED.itemsize
        if len(data) != size or not data.startswith(self._signature):
            raise SnapshotError(f"snapshot of bed {bed}: made by another version or model; the bed learns anew")
        row = self._row_of(bed)
        self._table[row] = np.frombuffer(data, beds.BED, offset=len(self._signature))[0]
        self._table[row]["limits"] = self._limits  # they are settings: those of today hold, not those of the snapshot

    def position(self, bed: str) -> intake.StreamPosition:
        """Where a bed is in its stream of frames, for whoever cannot read its snapshot."""
        return intake.position_of(self._table[self._rows[bed]]["intake"])

    def begin(self, bed: str, position: intake.StreamPosition) -> Output:
        """Watch a bed whose snapshot cannot be used: all there is of it is its `position`, and it learns anew."""
        self.forget(bed)
        state = self._table[self._row_of(bed)]
        state["limits"] = self._limits
        intake.go_on(state["intake"], position)
        beds.begin(state, position.rate_mHz, position.next_sample, min(len(position.leads.split(",")), LEADS))
        self._raise(bed, Rule.RELEARNING, position.next_sample, position.next_sample, 0.0)
        return self._collector.take()

    def expect(self, bed: str, now_us: int) -> None:
        """Watch a bed of which nothing that came can be read; with its first good frame it begins."""
        state = self._table[self._row_of(bed)]
        state["limits"] = self._limits
        intake.expect_first(state["intake"], now_us)
        beds.begin(state, int(state["intake"]["rate_mHz"]), 0, 0)

    def forget(self, bed: str) -> None:
        """Drop a bed that another worker has taken over."""
        row = self._rows.pop(bed, None)
        if row is not None:
            self._queue.drop(row, bed)
            self._table[row : row + 1] = np.zeros(1, beds.BED)
            self._free.append(row)

    # --- bugs --------------------------------------------------------------------------------------------------------

    def _quarantine(self, name: str, error: Exception, frame: Frame | None = None) -> None:
        """Drop the frame and the bed's state, and begin the bed anew now, so that it is still watched for silence."""
        row = self._rows.get(name)
        if row is not None and frame is not None and self._table[row]["intake"]["failing"]:
            self._collector.output.events[intake.Event.FAULT] += 1
            return  # it has begun anew and said so; the frames that are dropped since are one gap
        self._collector.fault(name, error)
        if row is not None:
            self._queue.drop(row, name)
            self._end_alerts(name, row)
        try:
            self._begin_again(name, frame)
        except Exception:  # the bug is met there: nothing is known of the bed until its next frame
            self.forget(name)

    def _begin_again(self, name: str, frame: Frame | None) -> None:
        """Begin with nothing but the bed's place in its stream; of a frame that is dropped, with that it never came."""
        row = self._rows.get(name)
        if row is None:
            assert frame is not None
            row = self._admit(frame)
        bed = self._table[row]
        intake_row, leads = bed["intake"].copy(), int(bed["rules"]["leads"])
        self._table[row : row + 1] = np.zeros(1, beds.BED)
        bed["limits"] = self._limits
        if frame is None:
            bed["intake"] = intake_row
        else:
            intake.adopt(bed["intake"], frame)
            intake.expect(bed["intake"], frame)
            leads = min(len(frame.leads), LEADS)
        bed["intake"]["failing"] = frame is not None
        bed["intake"]["numbering"] = intake_row["numbering"] + 1  # no alert of before has the id of one to come
        first = int(bed["intake"]["next_sample"])
        beds.begin(bed, int(bed["intake"]["rate_mHz"]), first, leads)
        self._raise(name, Rule.RELEARNING, first, first, 0.0)

    def _end_alerts(self, name: str, row: int, ended: Collection[Rule] = tuple(Rule)) -> None:
        """Clear alerts where samples that can be counted end; one that meets a bug does not keep the others."""
        end = int(self._table[row]["intake"]["next_sample"])
        bed = self._table[row]
        fibrillation = Rule.VENTRICULAR_FIBRILLATION
        if fibrillation in ended and bed["rules"]["rule"][fibrillation]["active"]:
            mark = np.zeros(1, rhythm.MARK)
            rhythm.end_vf(bed["rhythm"], end, mark, 0)
            self._collector.mark(name, bed["intake"], mark[0])
        for rule in ended:
            with contextlib.suppress(Exception):
                self._clear(name, rule, end)

    # --- one frame -----------------------------------------------------------------------------------------------

    def _take(self, frame: Frame) -> bool:
        """Put a frame where it belongs; False if all of it was here before."""
        row = self._rows.get(frame.bed)
        if row is not None and intake.is_first(self._table[row]["intake"]):
            self._end_alerts(frame.bed, row)
            self.forget(frame.bed)
            row = None
        if row is None:
            row = self._admit(frame)
            verdict = intake.Verdict()
        else:
            verdict = intake.judge(self._table[row]["intake"], frame)
        if self._is_refused(row, frame, verdict):
            return False
        self._collector.output.events.update(verdict.events)
        if verdict.skip >= frame.instants:
            return False
        intake_row = self._table[row]["intake"]
        second_device.settle(intake_row, frame, verdict)
        if verdict.anew or verdict.missing or verdict.clock:
            self._break_off(row, frame, verdict)
        self._clear(frame.bed, Rule.BED_SILENT, frame.first_sample + verdict.skip)
        units = intake.units(intake_row, frame)
        if not np.array_equal(units, intake_row["mv_per_bit"], equal_nan=True):
            self._run()  # what is queued counts in the old steps
            intake_row["mv_per_bit"] = units
        self._put(row, frame.bed, intake.columns(intake_row, frame)[:, verdict.skip :], frame.rate_mHz)
        intake.settle(intake_row, frame, verdict.missing)
        intake_row["failing"] = 0
        return True

    def _is_refused(self, row: int, frame: Frame, verdict: intake.Verdict) -> bool:
        """Whether a frame is a second device's that must not take the bed; says whether there is one."""
        intake_row = self._table[row]["intake"]
        if foreign := second_device.is_foreign(intake_row, frame, verdict):
            self._collector.output.events[intake.Event.FOREIGN] += 1
            second_device.count(intake_row, frame)
        if second_device.stands(intake_row) != intake_row["two_devices"]:
            self._flush()  # what came before is judged before anything is said
            now = int(intake_row["next_sample"])
            if not intake_row["two_devices"]:
                intake_row["two_devices"] = 1
                lasting_us = int(intake_row["contested_us"])
                onset = max(now - lasting_us * int(intake_row["rate_mHz"]) // 1_000_000_000, 0)
                limit_s = second_device.CONTESTED_US / 1e6
                self._raise(frame.bed, Rule.SECOND_DEVICE, onset, now, lasting_us / 1e6, limit_s)
            else:
                second_device.end(intake_row)
                self._clear(frame.bed, Rule.SECOND_DEVICE, now)
        return foreign and second_device.must_wait(intake_row)

    def _break_off(self, row: int, frame: Frame, verdict: intake.Verdict) -> None:
        """Deal with what did not come before a frame, or came by another clock."""
        intake_row = self._table[row]["intake"]
        first = frame.first_sample + verdict.skip
        lost_us = intake.time_of(intake_row, first - verdict.missing)  # by the clock of before
        self._flush()  # what came before is judged before anything is said of what did not come
        if verdict.anew:
            self._anew(row, frame, verdict)
        elif verdict.missing:
            self._fill(row, frame.bed, verdict.missing)
        if verdict.clock:
            intake.anchor(intake_row, frame)
        if verdict.missing or verdict.paused_us:
            missing_s = max(verdict.missing * 1000 / frame.rate_mHz + verdict.paused_us / 1e6, 0.0)
            self._raise(frame.bed, Rule.SIGNAL_GAP, first - verdict.missing, first, missing_s, onset_us=lost_us)
            self._clear(frame.bed, Rule.SIGNAL_GAP, first)

    def _admit(self, frame: Frame) -> int:
        row = self._row_of(frame.bed)
        bed = self._table[row]
        bed["limits"] = self._limits
        intake.adopt(bed["intake"], frame)
        beds.begin(bed, frame.rate_mHz, frame.first_sample, min(len(frame.leads), LEADS))
        return row

    def _anew(self, row: int, frame: Frame, verdict: intake.Verdict) -> None:
        """Start the bed again at this frame; alerts end where the samples they speak of can no longer be counted."""
        bed = self._table[row]
        first = frame.first_sample + verdict.skip
        other_leads = intake.Event.LEADS_CHANGED in verdict.events
        if not verdict.counts_on:
            self._end_alerts(frame.bed, row)
            if bed["intake"]["two_devices"]:
                second_device.end(bed["intake"])
        elif other_leads:
            self._end_alerts(frame.bed, row, OF_LEADS)
        if not verdict.counts_on or other_leads or verdict.paused_us:
            intake.adopt(bed["intake"], frame, verdict.skip)
        if other_leads:
            rules_height.forget_heights(bed["rules"])
        if other_leads or intake.Event.RESTART in verdict.events:
            bed["language"] = np.zeros((), LANGUAGE)  # what was usual in other leads, or in another patient
        beds.restart(bed, frame.rate_mHz, first, min(len(frame.leads), LEADS))
        self._raise(frame.bed, Rule.RELEARNING, first, first, 0.0)
        rules = bed["rules"]
        if conditions.is_unsettled(rules, bed["detector"]["tick"]):  # so often that no epoch may ever end
            self._raise(frame.bed, Rule.UNMONITORED, first, first, rules["unsettled"] / RATE, UNSETTLED_S)

    def _fill(self, row: int, bed: str, missing: int) -> None:
        """Samples that never came are no reading; time goes on."""
        rate_mHz = int(self._table[row]["intake"]["rate_mHz"])
        piece = rate_mHz // 1000
        while missing > 0:
            count = min(missing, piece)
            self._put(row, bed, np.full((LEADS, count), INVALID, np.int16), rate_mHz)
            missing -= count
        self._flush()

    def _put(self, row: int, bed: str, stretch: npt.NDArray[np.int16], rate_mHz: int) -> None:
        if not self._queue.has_room(bed, stretch.shape[1], rate_mHz):
            self._flush()
        self._queue.put(row, bed, stretch, rate_mHz)

    # --- the kernels -----------------------------------------------------------------------------------------------

    def _run(self) -> None:
        """Detect in everything queued."""
        if (waiting := self._queue.take()) is not None:
            jobs, samples = waiting
            beds.detect(self._table, jobs, samples, self._scratch[0])

    def _flush(self) -> None:
        self._run()
        self._judge()

    def _judge(self) -> None:
        names = self._queue.take_unjudged()
        if not names:
            return
        rows = np.array([self._rows[name] for name in names])
        events = beds.Events.of(len(rows))
        beds.judge(self._table, rows, self._weights, events)
        counts = events.counts
        name_of = dict(zip(rows.tolist(), names, strict=True))
        collector = self._collector
        failed: dict[str, Exception] = {}

        def tell(found: Any, how: Callable[[str, Any, Any], None]) -> None:
            for one in found:
                name = name_of[row := int(one["row"])]
                try:
                    how(name, self._table[row]["intake"], one)
                except Exception as error:  # as in `detect`; what else there is of the bed is told all the same
                    failed.setdefault(name, error)

        tell(events.beats[: counts[beds.BEATS_READ]], collector.beat)
        tell(events.revisions[: counts[beds.REVISED]], collector.revise)
        tell(events.marks[: counts[beds.MARKED]], collector.mark)
        tell(events.transitions[: counts[beds.TRANSITIONS]], collector.alert)
        for name, error in failed.items():
            self._quarantine(name, error)

    # --- alerts and rows -------------------------------------------------------------------------------------------

    def _raise(
        self, bed: str, rule: Rule, onset: int, decided: int, *evidence: float, onset_us: int | None = None
    ) -> None:
        self._collector.raise_(bed, self._table[self._rows[bed]], rule, onset, decided, evidence, onset_us)

    def _clear(self, bed: str, rule: Rule, sample: int) -> None:
        self._collector.clear(bed, self._table[self._rows[bed]], rule, sample)

    def _row_of(self, bed: str) -> int:
        """A bed's row, a free one if it has none yet."""
        if (row := self._rows.get(bed)) is not None:
            return row
        if not self._free:
            size = len(self._table)
            table = np.zeros(2 * size, beds.BED)
            table[:size] = self._table
            self._table = table
            self._free = list(range(2 * size - 1, size - 1, -1))
        self._rows[bed] = self._free.pop()
        return self._rows[bed]
