"""The alarm rules of the heart: from beats, their classes and epochs to conditions. Pure kernels, no clock.

Rates, pauses and asystole follow from the R peaks as they are found, fibrillation from the epochs. Other modules judge
which R peaks are too small to be beats (`stream.rules_height`), runs of ventricular beats (`stream.rules_runs`) and the
signal itself (`stream.rules_signal`); how a rule is told and what it may remember is in `stream.conditions`.
"""

from __future__ import annotations

from typing import Final

from detector.jit import kernel
from detector.qrs import MAX_DELAY
from detector.types import AFTER, EPOCH, RATE, Array, Row
from model.codes import CLASSES
from stream import rules_runs, rules_signal
from stream.conditions import ASYSTOLE, CALM, HISTORY, LEARNED, MINUTE, break_run, clear, raise_
from stream.rules_height import is_small
from stream.wire import Rule

HYSTERESIS: Final = 1.05  # a rate must come back this far beyond its limit before the alert ends
VF_ENDS: Final = 2 * RATE  # ticks that no longer look like fibrillation and so end it
LIKELY: Final = 0.5  # probability from which an epoch counts as fibrillation
READ_LATEST: Final = max(AFTER, MAX_DELAY)  # ticks from an R peak to its word, without search back
DOUBTED_LONG: Final = 10 * RATE  # ticks of beats in doubt after which what looks like fibrillation hides no beats
CALM_BEATS: Final = 8  # normal beats in a row that end fibrillation: as many in true ones are 3 in 15 000 beats
CALMED_TIMES: Final = 3  # times as long as else must it be likely while their row goes on, to be raised again
CALM_RR_LEAST: Final = 43 * RATE // 100  # ticks between two of them: 140 a minute at most, ...
CALM_RR_MOST: Final = 8 * RATE // 5  # ... and nearly 40 at least
LONGEST_USUAL_RR: Final = 3 * RATE // 2  # ticks in which any heart that is not slow beats: the RR of 40 a minute
CLEAR_BEATS: Final = 3  # beats after which an asystole has ended: one or two artefacts do not end it
FAST_INTERVALS: Final = 12  # RR intervals in which a tachycardia is seen before the mean over more beats has risen
SPARED: Final = 2  # of them may be longer: a missed beat does not hide it

NORMAL: Final = CLASSES.index("N")
VENTRICULAR_FIBRILLATION: Final = int(Rule.VENTRICULAR_FIBRILLATION)
EXTREME_TACHYCARDIA: Final = int(Rule.EXTREME_TACHYCARDIA)
EXTREME_BRADYCARDIA: Final = int(Rule.EXTREME_BRADYCARDIA)
PAUSE: Final = int(Rule.PAUSE)
RELEARNING: Final = int(Rule.RELEARNING)


@kernel
def _mean_rr(memory: Row, beats: int) -> float:
    """Mean RR in ticks over the last `beats` beats; 0 while there are too few."""
    if memory.n < beats:
        return 0.0
    newest = memory.r[(memory.n - 1) % HISTORY]
    return float(newest - memory.r[(memory.n - beats) % HISTORY]) / (beats - 1)


@kernel
def _mean_seen_rr(memory: Row, beats: int) -> float:
    """The same of what could be seen: for a bradycardia, which time without a signal is not.

    Nor is a beat that was lost on the edge of such a time: an RR interval around it is no longer than the one before.
    """
    if memory.n < beats:
        return 0.0
    total = before = 0
    for number in range(max(memory.n - beats, 1), memory.n):
        rr = memory.r[number % HISTORY] - memory.r[(number - 1) % HISTORY]
        hidden = memory.r_hidden[number % HISTORY] - memory.r_hidden[(number - 1) % HISTORY]
        if hidden > 0:
            rr = min(rr - hidden, before) if before > 0 else rr - hidden
        total += rr if number > memory.n - beats else 0
        before = rr
    return float(total) / (beats - 1)


@kernel
def _short_rr(memory: Row, limit: float) -> float:
    """Mean of the last `FAST_INTERVALS` RR intervals, if it and they are shorter than `limit` ticks; else 0.

    `SPARED` of them need not be. That the others are so short is not enough: where every fifth beat is blocked, four in
    five intervals are short and the heart is not that fast.
    """
    mean = _mean_rr(memory, FAST_INTERVALS + 1)
    if memory.n <= FAST_INTERVALS or mean >= limit:
        return 0.0
    longer = 0
    for back in range(1, FAST_INTERVALS + 1):
        longer += memory.r[(memory.n - back) % HISTORY] - memory.r[(memory.n - back - 1) % HISTORY] >= limit
    return mean if longer <= SPARED else 0.0


@kernel
def on_peak(
    memory: Row,
    limits: Row,
    signal: Row,
    lead_state: Array,
    tick: int,
    found: int,
    sample: int,
    now: int,
    out: Row,
    count: int,
) -> int:
    """An R peak was found.

    Parameters
    ----------
    memory, limits : RULE_STATE, stream.limits.LIMITS
    signal : detector.types.SIGNAL
        For the beat's height; nothing after `found` is looked at.
    lead_state : int8, shape (LEADS,)
        GOOD ... OFF of each lead at the last epoch judged.
    tick, found : int
        Ticks of the R peak and of its detection.
    sample, now : int
        The same in samples of the record.
    out : TRANSITION
    count : int
        Transitions in it; the new count is returned.
    """
    if is_small(memory, signal, lead_state, tick, found):
        return count
    count = _raise_missed(memory, limits, tick, now, out, count)
    _remember_peak(memory, tick, sample)
    count = clear(out, count, memory, PAUSE, sample)
    if memory.since_quiet >= CLEAR_BEATS and not memory.doubtful:
        count = clear(out, count, memory, ASYSTOLE, sample)
    count = _judge_fast(memory, limits, sample, now, out, count)
    return _judge_slow(memory, limits, sample, now, out, count)


@kernel
def _raise_missed(memory: Row, limits: Row, tick: int, now: int, out: Row, count: int) -> int:
    """Raise a pause, or an asystole, that this R peak has ended before it could be told: a beat is found later than it
    comes.
    """
    silent = tick - memory.quiet
    if memory.from_beat and silent >= limits.pause and not memory.rule[EXTREME_BRADYCARDIA].active:
        limit = limits.pause / RATE
        count = raise_(out, count, memory, PAUSE, memory.quiet_sample, now, silent / RATE, limit, 0.0)
    if memory.doubtful:  # what was no beat so far may have been one
        return count
    return _judge_asystole(memory, limits, silent, tick, now, out, count)


@kernel
def _judge_asystole(memory: Row, limits: Row, silent: int, seen: int, now: int, out: Row, count: int) -> int:
    """Asystole: no beat for `silent` ticks up to tick `seen`.

    A loss may have hidden one: one must have been due since, or so many that not all of them can have been hidden.
    """
    due = seen - memory.hidden_last >= LONGEST_USUAL_RR or silent >= limits.asystole * 3 // 2
    if silent >= limits.asystole and due:
        memory.since_quiet = 0
        limit = limits.asystole / RATE
        count = raise_(out, count, memory, ASYSTOLE, memory.quiet_sample, now, silent / RATE, limit, 0.0)
    return count


@kernel
def _remember_peak(memory: Row, tick: int, sample: int) -> None:
    """Remember an R peak, and that since then none has come."""
    behind = min(memory.hidden, max(memory.hidden_last - tick, 0))  # hidden after this beat, which was found later
    memory.r[memory.n % HISTORY] = tick
    memory.r_sample[memory.n % HISTORY] = sample
    memory.r_hidden[memory.n % HISTORY] = memory.hidden - behind
    memory.n += 1
    memory.quiet = tick + behind
    memory.quiet_sample = sample
    memory.from_beat = behind == 0
    memory.since_quiet += 1


@kernel
def _judge_fast(memory: Row, limits: Row, sample: int, now: int, out: Row, count: int) -> int:
    """Extreme tachycardia: raised by the last beats' mean RR or by short ones among them, ended once none is left."""
    beats, limit = limits.tachycardia_beats, limits.tachycardia_rr
    mean = _mean_rr(memory, beats)
    short = _short_rr(memory, limit)
    if 0.0 < mean < limit:
        memory.fast = memory.n
        onset = memory.r_sample[(memory.n - beats) % HISTORY]
        count = raise_(out, count, memory, EXTREME_TACHYCARDIA, onset, now, MINUTE / mean, MINUTE / limit, 0.0)
    elif short > 0.0:
        memory.fast = memory.n
        onset = memory.r_sample[(memory.n - 1 - FAST_INTERVALS) % HISTORY]
        count = raise_(out, count, memory, EXTREME_TACHYCARDIA, onset, now, MINUTE / short, MINUTE / limit, 0.0)
    elif mean > limit * HYSTERESIS and memory.n - memory.fast >= beats and memory.n - memory.fast > FAST_INTERVALS:
        # None of the beats that made it fast is left in what it would be raised for again.
        count = clear(out, count, memory, EXTREME_TACHYCARDIA, sample)
    return count


@kernel
def _judge_slow(memory: Row, limits: Row, sample: int, now: int, out: Row, count: int) -> int:
    """Extreme bradycardia: raised and ended by the last beats' mean RR."""
    beats, limit = limits.bradycardia_beats, limits.bradycardia_rr
    mean = _mean_seen_rr(memory, beats)
    if mean > limit:
        onset = memory.r_sample[(memory.n - beats) % HISTORY]
        count = raise_(out, count, memory, EXTREME_BRADYCARDIA, onset, now, MINUTE / mean, MINUTE / limit, 0.0)
    elif 0.0 < mean < limit / HYSTERESIS:
        count = clear(out, count, memory, EXTREME_BRADYCARDIA, sample)
    return count


@kernel
def on_beat(
    memory: Row, limits: Row, label: int, probability: float, tick: int, sample: int, now: int, out: Row, count: int
) -> int:
    """A beat was classed; the arguments are those of `rules_runs.on_beat`."""
    rr = tick - memory.read_last
    memory.read_last = tick
    calm = label == NORMAL and CALM_RR_LEAST <= rr <= CALM_RR_MOST
    memory.calm = memory.calm + 1 if calm else 0
    if memory.n >= LEARNED:
        count = clear(out, count, memory, RELEARNING, now)
    return rules_runs.on_beat(memory, limits, label, probability, tick, sample, now, out, count)


@kernel
def on_epoch(memory: Row, limits: Row, epoch: Row, onset: int, now: int, out: Row, count: int) -> int:
    """A tenth of a second has passed; `onset` and `now` are the samples of its first and last tick."""
    tick = epoch.tick
    if not epoch.readable:
        memory.hidden += EPOCH
        memory.hidden_last = tick
        memory.hidden_run += EPOCH
        memory.from_beat = 0  # whether a beat came meanwhile nobody knows
        memory.run_last += EPOCH
        if memory.hidden_run < limits.unmonitored:
            memory.quiet += EPOCH  # the time does not count
        else:  # nothing can be said of beats: the wait begins again once the signal is back
            memory.quiet = tick
            memory.quiet_sample = now
            break_run(memory)
    elif tick - memory.hidden_last >= CALM:
        memory.hidden_run = 0
    memory.doubtful = epoch.doubtful
    memory.doubted = memory.doubted + EPOCH if epoch.doubtful else 0
    count = _without_beats(memory, limits, tick, now, out, count)
    count = _judge_vf(memory, limits, epoch, onset, now, out, count)
    if memory.rule[VENTRICULAR_FIBRILLATION].active and not memory.vf_doubted:
        epoch.doubtful = 0  # fibrillation has no beats to be sure of, and says so itself
    return rules_signal.on_epoch(memory, limits, epoch, onset, now, out, count)


@kernel
def _without_beats(memory: Row, limits: Row, tick: int, now: int, out: Row, count: int) -> int:
    silent = tick - MAX_DELAY - memory.quiet  # what came since may still hide a beat
    if silent >= limits.pause and memory.from_beat:
        limit = limits.pause / RATE
        count = raise_(out, count, memory, PAUSE, memory.quiet_sample, now, silent / RATE, limit, 0.0)
    count = _judge_asystole(memory, limits, silent, tick - MAX_DELAY, now, out, count)
    return rules_runs.on_epoch(memory, tick, now, out, count)


@kernel
def _judge_vf(memory: Row, limits: Row, epoch: Row, onset: int, now: int, out: Row, count: int) -> int:
    """Fibrillation: raised once it has been likely for long enough, ended once it no longer is.

    Sure beats may keep it from being told but do not end it: pacing spikes and compressions are beats too. Normal beats
    in a row since it was raised do, unless it is likely in spite of them: an alarm over a steady rhythm would hide the
    next fibrillation. While their row goes on, that must be likely for longer.
    """
    state = memory.rule[VENTRICULAR_FIBRILLATION]
    if epoch.tick - memory.read_last > CALM_RR_MOST + READ_LATEST:
        memory.calm = 0
    memory.vf_calmed = memory.vf_calmed and memory.calm > 0
    if epoch.vf < 0.0:  # neither for it nor against it: the time does not count
        memory.vf_last += EPOCH
        state.since += EPOCH if state.since >= 0 else 0
        return count
    if state.active and memory.calm >= CALM_BEATS and epoch.vf < LIKELY:
        memory.vf_calmed = 1
        state.since = -1
        count = clear(out, count, memory, VENTRICULAR_FIBRILLATION, now)
    likely = max(epoch.vf, epoch.vf_alone) if state.active else epoch.vf
    if likely >= LIKELY:
        if state.since < 0:
            state.since = epoch.tick
            memory.vf_sample = onset
            memory.vf_doubted = memory.doubted >= DOUBTED_LONG
        limit = limits.fibrillation * (CALMED_TIMES if memory.vf_calmed else 1)
        if epoch.tick - state.since >= limit and not state.active:
            rule = VENTRICULAR_FIBRILLATION
            held = (epoch.tick - state.since) / RATE
            count = raise_(out, count, memory, rule, memory.vf_sample, now, likely, held, limit / RATE)
            memory.vf_calmed = 0
            memory.calm = 0
        memory.vf_last = epoch.tick
    elif not state.active:
        state.since = -1
    elif epoch.readable and epoch.tick - memory.vf_last >= VF_ENDS:
        state.since = -1
        count = clear(out, count, memory, VENTRICULAR_FIBRILLATION, now)
    return count
