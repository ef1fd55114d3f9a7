"""The alarm rules of the heart: from beats, their classes and epochs to conditions. Pure kernels, no clock.

Rates, pauses and asystole follow from the R peaks as they are found, ventricular runs from the classes, fibrillation
from the epochs. What is wrong with the signal itself is judged by `stream.rules_signal`; how a rule speaks and what
it may remember is in `stream.conditions`.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from detector.jit import kernel
from detector.qrs import SOON
from detector.types import EPOCH, LEADS, NOISY, RATE, RING, Array, Row
from model.codes import CLASSES
from stream import rules_signal
from stream.conditions import ASYSTOLE, CALM, HEIGHTS, HISTORY, RUN_KEPT, break_run, clear, raise_
from stream.wire import Rule

LOOK: Final = SOON  # ticks a beat may still lie unfound: a pause is declared only up to here
HYSTERESIS: Final = 1.05  # a rate must come back this far beyond its limit before the alert ends
SURELY: Final = 2  # ventricular beats in a row that are surely a run's ...
IN_RUN: Final = 0.1  # ... which goes on with what is ventricular with this probability: after two most are
OTHERS: Final = 2  # beats in a row that are not ventricular and so end a run; one alone does so too ...
REGAINED: Final = 3  # ... if another was forgiven and not so many ventricular ones in a row have come since: bigeminy
TOGETHER: Final = (
    0.4  # mean probability of being ventricular of a tachycardia's beats: to miss one is worse than to doubt
)
RUN_ENDS: Final = 3 * RATE  # ticks without any beat which end a run too
LEARNED: Final = 5  # beats after which the detector's levels are medians and not guesses
VF_ENDS: Final = 2 * RATE  # ticks that no longer look like fibrillation and so end it
LIKELY: Final = 0.5  # probability from which an epoch counts as fibrillation
MINUTE: Final = 60.0 * RATE  # ticks
QUARTILE: Final = 4  # of the heights remembered are lower than what counts as usual
HALF_QRS: Final = 20  # ticks to either side of the R peak in which a beat's height is taken (80 ms)
SMALL: Final = 0.25  # of the usual height: P waves, noise and a neighbour's pulse lie below, ectopic beats above
ADOPTED: Final = 20  # small beats in a row that show the signal itself has become smaller ...
LEAST_MV: Final = 0.3  # ... but not, while asystole stands, below this height: so high P waves and noise may be
DUE: Final = 3 * RATE // 2  # ticks in which any heart that is not slow beats: the RR of 40 a minute
BACK: Final = 3  # beats after which an asystole has ended: one or two artefacts do not end it
SPAN: Final = 12  # RR intervals in which a tachycardia is seen before the mean over more beats has risen
SPARED: Final = 2  # of them may be longer: a missed beat does not hide it
VENTRICULAR: Final = CLASSES.index("V")

VENTRICULAR_FIBRILLATION: Final = int(Rule.VENTRICULAR_FIBRILLATION)
VENTRICULAR_TACHYCARDIA: Final = int(Rule.VENTRICULAR_TACHYCARDIA)
EXTREME_TACHYCARDIA: Final = int(Rule.EXTREME_TACHYCARDIA)
EXTREME_BRADYCARDIA: Final = int(Rule.EXTREME_BRADYCARDIA)
VENTRICULAR_RUN: Final = int(Rule.VENTRICULAR_RUN)
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
def _is_small(memory: Row, signal: Row, lead_state: Array, tick: int, found: int) -> bool:
    """Whether a beat is far below the usual height in every readable lead; learns the height of one that is not.

    In an asystole the detector's thresholds fall until P waves or noise pass for beats. They must not end the wait
    for a beat, whatever their number; a signal that stays small is the new usual after `ADOPTED` beats, but what is
    below `LEAST_MV` then is none.
    """
    known = memory.n_heights >= HEIGHTS // 2
    judged = 0
    small = 0
    heights = np.zeros(LEADS)
    for lead in range(LEADS):
        least = np.inf
        greatest = -np.inf
        for t in range(max(tick - HALF_QRS, signal.end - RING), min(tick + HALF_QRS, found) + 1):
            value = signal.mv[lead, t & (RING - 1)]
            if np.isfinite(value):
                least = min(least, value)
                greatest = max(greatest, value)
        heights[lead] = max(greatest - least, 0.0)
        if known and heights[lead] > 0.0 and lead_state[lead] <= NOISY:
            usual = _usual_height(memory, lead)
            if usual > 0.0:
                judged += 1
                small += heights[lead] < SMALL * usual
    if judged > 0 and small == judged:
        memory.small += 1
        if memory.small < ADOPTED or (memory.rule[ASYSTOLE].active and heights.max() < LEAST_MV):
            return True
        memory.n_heights = 0
    memory.small = 0
    for lead in range(LEADS):
        memory.height[memory.n_heights % HEIGHTS, lead] = heights[lead]
    memory.n_heights += 1
    return False


@kernel
def forget_heights(memory: Row) -> None:
    """Nothing is known of how high the beats of other leads are, but no P wave in them ends an asystole either."""
    memory.n_heights = 0
    if memory.rule[ASYSTOLE].active:
        memory.height[:] = LEAST_MV / SMALL
        memory.n_heights = HEIGHTS


@kernel
def _usual_height(memory: Row, lead: int) -> float:
    """Lower quartile of the remembered heights of a lead, mV; 0 while it could mostly not be read."""
    ordered = np.empty(HEIGHTS)
    count = min(memory.n_heights, HEIGHTS)
    for i in range(count):
        j = i
        while j > 0 and ordered[j - 1] > memory.height[i, lead]:
            ordered[j] = ordered[j - 1]
            j -= 1
        ordered[j] = memory.height[i, lead]
    return float(ordered[count * QUARTILE // HEIGHTS])


@kernel
def _short_rr(memory: Row, limit: float) -> float:
    """Mean of those of the last `SPAN` RR intervals that are shorter than `limit` ticks; 0 if that is no tachycardia.

    All but `SPARED` of them have to be so short, and the mean of all: where every fifth beat is blocked, four
    in five intervals are short and the heart is not that fast.
    """
    if memory.n <= SPAN or _mean_rr(memory, SPAN + 1) >= limit:
        return 0.0
    short = longer = 0
    for back in range(1, SPAN + 1):
        rr = memory.r[(memory.n - back) % HISTORY] - memory.r[(memory.n - back - 1) % HISTORY]
        longer += rr >= limit
        short += rr if rr < limit else 0
    return short / (SPAN - longer) if longer <= SPARED else 0.0


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
    memory, limits : MEMORY, stream.limits.LIMITS
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
    if _is_small(memory, signal, lead_state, tick, found):
        return count
    if memory.from_beat and tick - memory.quiet >= limits.pause and not memory.rule[EXTREME_BRADYCARDIA].active:
        # Over before it could be told: a beat is found later than it comes.
        lasted, limit = (tick - memory.quiet) / RATE, limits.pause / RATE
        count = raise_(out, count, memory, PAUSE, memory.quiet_sample, now, lasted, limit, 0.0)
    behind = min(memory.hidden, max(memory.hidden_last - tick, 0))  # hidden after this beat, which was found later
    memory.r[memory.n % HISTORY] = tick
    memory.r_sample[memory.n % HISTORY] = sample
    memory.r_hidden[memory.n % HISTORY] = memory.hidden - behind
    memory.n += 1
    memory.quiet = tick + behind
    memory.quiet_sample = sample
    memory.from_beat = behind == 0
    memory.since_quiet += 1
    count = clear(out, count, memory, PAUSE, sample)
    if memory.since_quiet >= BACK and not memory.doubtful:
        count = clear(out, count, memory, ASYSTOLE, sample)

    beats = limits.tachycardia_beats
    limit = limits.tachycardia_rr
    mean = _mean_rr(memory, beats)
    short = _short_rr(memory, limit)
    if 0.0 < mean < limit:
        memory.fast = memory.n
        onset = memory.r_sample[(memory.n - beats) % HISTORY]
        count = raise_(out, count, memory, EXTREME_TACHYCARDIA, onset, now, MINUTE / mean, MINUTE / limit, 0.0)
    elif short > 0.0:
        memory.fast = memory.n
        onset = memory.r_sample[(memory.n - 1 - SPAN) % HISTORY]
        count = raise_(out, count, memory, EXTREME_TACHYCARDIA, onset, now, MINUTE / short, MINUTE / limit, 0.0)
    elif mean > limit * HYSTERESIS and memory.n - memory.fast >= beats and memory.n - memory.fast > SPAN:
        # None of the beats that made it fast is left in what it would be raised for again.
        count = clear(out, count, memory, EXTREME_TACHYCARDIA, sample)

    beats = limits.bradycardia_beats
    limit = limits.bradycardia_rr
    mean = _mean_seen_rr(memory, beats)
    if mean > limit:
        onset = memory.r_sample[(memory.n - beats) % HISTORY]
        count = raise_(out, count, memory, EXTREME_BRADYCARDIA, onset, now, MINUTE / mean, MINUTE / limit, 0.0)
    elif 0.0 < mean < limit / HYSTERESIS:
        count = clear(out, count, memory, EXTREME_BRADYCARDIA, sample)
    return count


@kernel
def on_beat(
    memory: Row, limits: Row, label: int, chance: float, tick: int, sample: int, now: int, out: Row, count: int
) -> int:
    """A beat was classed.

    `label` counts in `model.codes.CLASSES`, `chance` is how likely it is ventricular, `now` the sample of the decision.
    """
    if memory.n >= LEARNED:
        count = clear(out, count, memory, RELEARNING, now)
    in_run = memory.run >= SURELY and memory.others == 0
    if label != VENTRICULAR and not (in_run and chance >= IN_RUN):
        told = memory.rule[VENTRICULAR_RUN].active or memory.rule[VENTRICULAR_TACHYCARDIA].active
        others = memory.others + 1
        if not told or others >= OTHERS or (memory.forgave and memory.streak < REGAINED):
            break_run(memory)
            count = clear(out, count, memory, VENTRICULAR_RUN, sample)
            count = clear(out, count, memory, VENTRICULAR_TACHYCARDIA, sample)
        memory.forgave = 1
        memory.streak = 0
        memory.others = others
        return count
    if memory.run == 0:
        memory.run_tick = tick
        memory.run_sample = sample
    memory.run_r[memory.run % RUN_KEPT] = tick
    memory.run_chance[memory.run % RUN_KEPT] = chance
    memory.run += 1
    memory.run_last = tick
    memory.others = 0
    memory.streak += 1
    if memory.streak >= REGAINED:
        memory.forgave = 0
    onset = memory.run_sample
    beats = float(memory.run)
    if memory.run >= limits.run_beats:
        rate = MINUTE * (memory.run - 1) / max(tick - memory.run_tick, 1)
        count = raise_(out, count, memory, VENTRICULAR_RUN, onset, now, beats, rate, limits.run_beats)
    # The newest beats of the run alone: it may have begun slowly. One after a beat that was forgiven may be the last.
    if memory.run >= limits.vt_beats and memory.streak >= SURELY and _likely_together(memory, limits.vt_beats):
        first = memory.run_r[(memory.run - limits.vt_beats) % RUN_KEPT]
        mean = max(tick - first, 1) / (limits.vt_beats - 1)
        if mean < limits.vt_rr:
            limit = MINUTE / limits.vt_rr
            count = raise_(out, count, memory, VENTRICULAR_TACHYCARDIA, onset, now, beats, MINUTE / mean, limit)
    return count


@kernel
def _likely_together(memory: Row, beats: int) -> bool:
    """Whether the last beats of a run are likely enough ventricular, taken together.

    In a tachycardia nearly all are so surely; in noise there are many whose likeliest class is ventricular, but hardly.
    """
    total = 0.0
    for back in range(1, beats + 1):
        total += memory.run_chance[(memory.run - back) % RUN_KEPT]
    return total >= TOGETHER * beats


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
    count = _without_beats(memory, limits, tick, now, out, count)
    count = _fibrillation(memory, limits, epoch, onset, now, out, count)
    if memory.rule[VENTRICULAR_FIBRILLATION].active:
        epoch.doubtful = 0  # fibrillation has no beats to be sure of, and says so itself
    return rules_signal.on_epoch(memory, limits, epoch, onset, now, out, count)


@kernel
def _without_beats(memory: Row, limits: Row, tick: int, now: int, out: Row, count: int) -> int:
    silent = tick - LOOK - memory.quiet
    if silent >= limits.pause and memory.from_beat:
        limit = limits.pause / RATE
        count = raise_(out, count, memory, PAUSE, memory.quiet_sample, now, silent / RATE, limit, 0.0)
    # A loss may have hidden a beat: one must have been due since, or so many that not all of them can have been hidden.
    seen = tick - LOOK - memory.hidden_last >= DUE or silent >= limits.asystole * 3 // 2
    if silent >= limits.asystole and seen:
        memory.since_quiet = 0
        limit = limits.asystole / RATE
        count = raise_(out, count, memory, ASYSTOLE, memory.quiet_sample, now, silent / RATE, limit, 0.0)
    told = memory.rule[VENTRICULAR_RUN].active or memory.rule[VENTRICULAR_TACHYCARDIA].active
    if (memory.run > 0 or told) and tick - memory.run_last > RUN_ENDS:
        break_run(memory)
        count = clear(out, count, memory, VENTRICULAR_RUN, now)
        count = clear(out, count, memory, VENTRICULAR_TACHYCARDIA, now)
    return count


@kernel
def _fibrillation(memory: Row, limits: Row, epoch: Row, onset: int, now: int, out: Row, count: int) -> int:
    state = memory.rule[VENTRICULAR_FIBRILLATION]
    if epoch.vf < 0.0:  # neither for it nor against it: the time does not count
        memory.vf_last += EPOCH
        state.since += EPOCH if state.since >= 0 else 0
        return count
    # Beats may keep fibrillation from being told but do not end it: pacing spikes and compressions are beats too.
    likely = max(epoch.vf, epoch.vf_alone) if state.active else epoch.vf
    if likely >= LIKELY:
        if state.since < 0:
            state.since = epoch.tick
            memory.vf_sample = onset
        if epoch.tick - state.since >= limits.fibrillation:
            rule = VENTRICULAR_FIBRILLATION
            held = (epoch.tick - state.since) / RATE
            count = raise_(out, count, memory, rule, memory.vf_sample, now, likely, held, limits.fibrillation / RATE)
        memory.vf_last = epoch.tick
    elif not state.active:
        state.since = -1
    elif epoch.readable and epoch.tick - memory.vf_last >= VF_ENDS:
        state.since = -1
        count = clear(out, count, memory, VENTRICULAR_FIBRILLATION, now)
    return count
