"""Runs of ventricular beats: which beats belong to one, when it is to be told, and when it is a tachycardia."""

from __future__ import annotations

from typing import Final

from detector.jit import kernel
from detector.types import RATE, Row
from model.codes import CLASSES
from stream.conditions import MINUTE, RUN_KEPT, clear, end_run, raise_
from stream.wire import Rule

RUN_CORE: Final = 2  # ventricular beats in a row that make a run certain: after two most go on
IN_RUN: Final = 0.1  # probability of being ventricular that continues a certain run
OTHERS: Final = 2  # beats in a row that are not ventricular and so end a run; a single one is forgiven
REGAINED: Final = 3  # ventricular beats in a row after which another is forgiven: in a bigeminy none would be
RUN_MEAN: Final = 0.4  # mean probability of a tachycardia's beats: to miss one is worse than a false alarm
READ_OTHERWISE: Final = 1  # of a tachycardia's beats may be, before its run is certain: its first may be a fusion beat
MAYBE_MEAN: Final = 0.7  # mean probability of its beats then: the least tenth that adds no alarm in noise of electrodes
SLOWED_INTERVALS: Final = (
    12  # RR intervals of a run by which its tachycardia is seen to be over; some are of a missed beat
)
SLOWED_MOST: Final = 10  # of them that must be long: ...
SLOWED: Final = 1.1  # ... so many times as the limit's, or a tachycardia at the limit would come and go
RUN_ENDS: Final = 3 * RATE  # ticks without any beat which end a run too
VENTRICULAR: Final = CLASSES.index("V")
VENTRICULAR_TACHYCARDIA: Final = int(Rule.VENTRICULAR_TACHYCARDIA)
VENTRICULAR_RUN: Final = int(Rule.VENTRICULAR_RUN)


@kernel
def on_beat(
    memory: Row, limits: Row, label: int, probability: float, tick: int, sample: int, now: int, out: Row, count: int
) -> int:
    """A beat was classed.

    Parameters
    ----------
    memory, limits : RULE_STATE, stream.limits.LIMITS
    label : int
        Index of its class in `model.codes.CLASSES`.
    probability : float
        Of its being ventricular.
    tick, sample : int
        Of its R peak, in ticks and in samples of the record.
    now : int
        Sample of the decision.
    out : TRANSITION
    count : int
        Transitions in it; the new count is returned.
    """
    _remember_maybe(memory, label, probability, tick, sample)
    in_run = memory.run >= RUN_CORE and memory.others == 0
    if label == VENTRICULAR or (in_run and probability >= IN_RUN):
        _lengthen_run(memory, probability, tick, sample)
        count = _judge_slowed(memory, limits, sample, out, count)
        count = _judge_run(memory, limits, tick, now, out, count)
        return _judge_maybe(memory, limits, tick, now, out, count)
    told = memory.rule[VENTRICULAR_RUN].active or memory.rule[VENTRICULAR_TACHYCARDIA].active
    others = memory.others + 1
    if not told or others >= OTHERS or (memory.forgave and memory.streak < REGAINED):
        count = _end_run(memory, sample, out, count)
    memory.forgave = 1
    memory.streak = 0
    memory.others = others
    return count


@kernel
def _remember_maybe(memory: Row, label: int, probability: float, tick: int, sample: int) -> None:
    """Count a beat that may be ventricular, whether or not it is of a run; any other ends the row."""
    if memory.maybe > 0 and tick - memory.maybe_r[(memory.maybe - 1) % RUN_KEPT] > RUN_ENDS:
        memory.maybe = 0
    if label != VENTRICULAR and probability < IN_RUN:
        memory.maybe = 0
        return
    here = memory.maybe % RUN_KEPT
    memory.maybe_r[here] = tick
    memory.maybe_sample[here] = sample
    memory.maybe_probability[here] = probability
    memory.maybe_other[here] = label != VENTRICULAR
    memory.maybe += 1


@kernel
def _lengthen_run(memory: Row, probability: float, tick: int, sample: int) -> None:
    """One more ventricular beat."""
    if memory.run == 0:
        memory.run_tick = tick
        memory.run_sample = sample
    memory.run_r[memory.run % RUN_KEPT] = tick
    memory.run_r_sample[memory.run % RUN_KEPT] = sample
    memory.run_probability[memory.run % RUN_KEPT] = probability
    memory.run += 1
    memory.run_last = tick
    memory.others = 0
    memory.streak += 1
    if memory.streak >= REGAINED:
        memory.forgave = 0


@kernel
def _judge_run(memory: Row, limits: Row, tick: int, now: int, out: Row, count: int) -> int:
    """Whether the run of ventricular beats up to `tick` is one to be told, and whether it is a tachycardia."""
    onset = memory.run_sample
    beats = float(memory.run)
    if memory.run >= limits.run_beats:
        rate = MINUTE * (memory.run - 1) / max(tick - memory.run_tick, 1)
        count = raise_(out, count, memory, VENTRICULAR_RUN, onset, now, beats, rate, limits.run_beats)
    # The newest beats of the run alone: it may have begun slowly. One after a beat that was forgiven may be the last.
    beats_since = memory.run - memory.slowed
    if beats_since >= limits.vt_beats and memory.streak >= RUN_CORE and _likely_together(memory, limits.vt_beats):
        first = (memory.run - limits.vt_beats) % RUN_KEPT
        mean = max(tick - memory.run_r[first], 1) / (limits.vt_beats - 1)
        if mean < limits.vt_rr:
            limit = MINUTE / limits.vt_rr
            if memory.slowed > 0:  # the tachycardia it began with is over
                onset = memory.run_r_sample[first]
            count = raise_(out, count, memory, VENTRICULAR_TACHYCARDIA, onset, now, beats, MINUTE / mean, limit)
    return count


@kernel
def _judge_slowed(memory: Row, limits: Row, sample: int, out: Row, count: int) -> int:
    """Whether the run goes on, but no more as a tachycardia; one that comes of it later is another."""
    if not memory.rule[VENTRICULAR_TACHYCARDIA].active or memory.run <= SLOWED_INTERVALS:
        return count
    long = 0
    for back in range(1, SLOWED_INTERVALS + 1):
        interval = memory.run_r[(memory.run - back) % RUN_KEPT] - memory.run_r[(memory.run - back - 1) % RUN_KEPT]
        is_long = interval > SLOWED * limits.vt_rr
        long += is_long
        if back < limits.vt_beats and not is_long:
            return count
    if long < SLOWED_MOST:
        return count
    memory.slowed = memory.run
    return clear(out, count, memory, VENTRICULAR_TACHYCARDIA, sample)


@kernel
def _judge_maybe(memory: Row, limits: Row, tick: int, now: int, out: Row, count: int) -> int:
    """Whether the last beats are a tachycardia of which one is read otherwise, with three ventricular ones behind it.

    A doubtful beat goes on with a run that has begun with two ventricular ones. It may as well come before those: the
    first of a tachycardia may be a fusion beat, and the second comes when nothing is known of the first but that. Once
    its run has slowed, no beat of before is of another: else one early beat of the slow run would be enough for it.
    """
    beats = limits.vt_beats
    has_slowed = memory.slowed > 0 and memory.run - memory.slowed < beats
    if memory.maybe < beats or memory.streak < REGAINED or has_slowed:
        return count
    others = 0
    total = 0.0
    for back in range(1, beats + 1):
        here = (memory.maybe - back) % RUN_KEPT
        others += memory.maybe_other[here]
        total += memory.maybe_probability[here]
    first = (memory.maybe - beats) % RUN_KEPT
    mean = max(tick - memory.maybe_r[first], 1) / (beats - 1)
    if others <= READ_OTHERWISE and total >= MAYBE_MEAN * beats and mean < limits.vt_rr:
        onset, rate, limit = memory.maybe_sample[first], MINUTE / mean, MINUTE / limits.vt_rr
        count = raise_(out, count, memory, VENTRICULAR_TACHYCARDIA, onset, now, beats, rate, limit)
    return count


@kernel
def _likely_together(memory: Row, beats: int) -> bool:
    """Whether the last beats of a run are likely enough ventricular, taken together.

    In a tachycardia nearly all are so surely; in noise there are many whose likeliest class is ventricular, but hardly.
    """
    total = 0.0
    for back in range(1, beats + 1):
        total += memory.run_probability[(memory.run - back) % RUN_KEPT]
    return total >= RUN_MEAN * beats


@kernel
def on_epoch(memory: Row, tick: int, now: int, out: Row, count: int) -> int:
    """A tenth of a second has passed, up to sample `now`: a run is over after so long without a beat."""
    told = memory.rule[VENTRICULAR_RUN].active or memory.rule[VENTRICULAR_TACHYCARDIA].active
    if (memory.run > 0 or told) and tick - memory.run_last > RUN_ENDS:
        count = _end_run(memory, now, out, count)
    return count


@kernel
def _end_run(memory: Row, sample: int, out: Row, count: int) -> int:
    """The run of ventricular beats is over."""
    end_run(memory)
    count = clear(out, count, memory, VENTRICULAR_RUN, sample)
    return clear(out, count, memory, VENTRICULAR_TACHYCARDIA, sample)
