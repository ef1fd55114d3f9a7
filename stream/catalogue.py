"""What each rule is to the people it alerts: kind, priority as IEC 60601-1-8 names them, the names of its evidence."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Any, Final, Literal

from stream.frames import MAX_TIME_US
from stream.wire import Alert, Rule, alert_id

Kind = Literal["physiological", "technical"]
Priority = Literal["high", "medium", "low"]


@dataclass(frozen=True)
class Entry:
    """A rule as its alerts show it."""

    kind: Kind
    priority: Priority
    evidence: tuple[str, ...]


CATALOGUE: Final[dict[Rule, Entry]] = {
    Rule.ASYSTOLE: Entry("physiological", "high", ("without_beat_s", "limit_s")),
    Rule.VENTRICULAR_FIBRILLATION: Entry("physiological", "high", ("likelihood", "lasting_s", "limit_s")),
    Rule.VENTRICULAR_TACHYCARDIA: Entry("physiological", "high", ("beats", "rate_bpm", "limit_bpm")),
    Rule.EXTREME_TACHYCARDIA: Entry("physiological", "high", ("rate_bpm", "limit_bpm")),
    Rule.EXTREME_BRADYCARDIA: Entry("physiological", "high", ("rate_bpm", "limit_bpm")),
    Rule.VENTRICULAR_RUN: Entry("physiological", "medium", ("beats", "rate_bpm", "limit_beats")),
    Rule.PAUSE: Entry("physiological", "medium", ("without_beat_s", "limit_s")),
    Rule.LEAD_OFF: Entry("technical", "low", ("leads_bits", "lasting_s", "limit_s")),
    Rule.FLAT_LINE: Entry("technical", "medium", ("leads_bits", "lasting_s", "limit_s")),
    Rule.SIGNAL_GAP: Entry("technical", "low", ("missing_s",)),
    Rule.BED_SILENT: Entry("technical", "high", ("silent_s",)),
    Rule.SATURATED: Entry("technical", "low", ("leads_bits", "lasting_s", "limit_s")),
    Rule.NOISY: Entry("technical", "low", ("leads_bits", "lasting_s", "limit_s")),
    Rule.UNMONITORED: Entry("technical", "high", ("unreadable_s", "limit_s")),
    Rule.RELEARNING: Entry("technical", "low", ()),
    Rule.SECOND_DEVICE: Entry("technical", "high", ("contested_s", "limit_s")),
}


def alert(
    bed: str, rate_mHz: int, anchor: tuple[int, int], move: Any, numbering: int = 0, onset_us: int | None = None
) -> Alert:
    """The alert that a transition stands for.

    Parameters
    ----------
    bed : str
    rate_mHz : int
        Sampling rate at which the transition's samples count.
    anchor : (int, int)
        A sample and its device time, µs since the Unix epoch.
    move : conditions.TRANSITION
    numbering : int
        How often the device has begun to count its samples anew.
    onset_us : int, optional
        Device time of the onset where it was told already, before the clock was set.
    """
    rule = Rule(int(move["rule"]))
    entry = CATALOGUE[rule]
    onset = int(move["onset"])
    decided = int(move["decided"])
    cleared = None if move["raised"] else int(move["cleared"])
    return Alert(
        id=alert_id(bed, rule.label, onset, numbering),
        bed=bed,
        rule=rule.label,
        kind=entry.kind,
        priority=entry.priority,
        state="raised" if move["raised"] else "cleared",
        rate_hz=rate_mHz / 1000,
        onset_sample=onset,
        onset_time=device_time(onset, rate_mHz, anchor if onset_us is None else (onset, onset_us)),
        decided_sample=decided,
        decided_time=device_time(decided, rate_mHz, anchor),
        evidence={name: round(float(value), 3) for name, value in zip(entry.evidence, move["evidence"], strict=False)},
        cleared_sample=cleared,
        cleared_time=None if cleared is None else device_time(cleared, rate_mHz, anchor),
    )


def device_time(sample: int, rate_mHz: int, anchor: tuple[int, int]) -> str:
    """Device time of a sample, ISO 8601 in UTC with microseconds; held within what a frame's clock can tell."""
    micros = min(max(anchor[1] + (sample - anchor[0]) * 1_000_000_000 // rate_mHz, 0), MAX_TIME_US)
    return (_EPOCH + dt.timedelta(microseconds=micros)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


_EPOCH: Final = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
