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
from stream.conditions import HEIGHTS, HISTORY, RUN_KEPT, clear, raise_
from stream.wire import Rule

LOOK: Final = SOON  # ticks a beat may still lie unfound: a pause is declared only up to here
HYSTERESIS: Final = 1.05  # a rate must come back this far beyond its limit before the alert ends
SURELY: Final = 2  # ventricular beats in a row that are surely a run's ...
IN_RUN: Final = 0.1  # ... which goes on with what is ventricular with this probability: behind two most are
OTHERS: Final = 2  # beats in a row that are not ventricular and so end a run
RUN_ENDS: Final = 3 * RATE  # ticks without any beat which end a run too
LEARNED: Final = 5  # beats after which the detector's levels are medians and not guesses
VF_ENDS: Final = 2 * RATE  # ticks that no longer look like fibrillation and so end it
LIKELY: Final = 0.5  # likelihood from which an epoch counts as fibrillation
MINUTE: Final = 60.0 * RATE  # ticks
QUARTILE: Final = 4  # of the heights remembered are lower than what counts as usual
HALF_QRS: Final = 20  # ticks to either side of the R peak in which a beat's height is taken (80 ms)
SMALL: Final = 0.25  # of the usual height: P waves, noise and a neighbour's pulse lie below, ectopic beats above
ADOPTED: Final = 20  # small beats in a row that show the signal itself has become smaller
SPAN: Final = 12  # RR intervals in which a tachycardia is seen before the mean over more beats has risen
SPARED: Final = 2  # of them may be longer: a missed beat does not hide it
VENTRICULAR: Final = CLASSES.index("V")

ASYSTOLE: Final = int(Rule.ASYSTOLE)
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
def _is_small(memory: Row, signal: Row, lead_state: Array, tick: int, found: int) -> bool:
    """Whether a beat is far below the usual height in every readable lead; learns the height of one that is not.

    In an asystole the detector's thresholds fall until P waves or noise pass for beats. They must not end the wait
    for a beat, whatever their number; a signal that stays small is the new usual after `ADOPTED` beats.
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
        if memory.small < ADOPTED:
            return True
        memory.n_heights = 0
    memory.small = 0
    for lead in range(LEADS):
        memory.height[memory.n_heights % HEIGHTS, lead] = heights[lead]
    memory.n_heights += 1
    return False


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
def _is_fast(memory: Row, limit: float) -> bool:
    """Whether all but `SPARED` of the last `SPAN` RR intervals are shorter than `limit` ticks."""
    if memory.n <= SPAN:
        return False
    longer = 0
    for back in range(1, SPAN + 1):
        rr = memory.r[(memory.n - back) % HISTORY] - memory.r[(memory.n - back - 1) % HISTORY]
        longer += rr >= limit
    return bool(longer <= SPARED)


@kernel
def _take_out_hidden(memory: Row, tick: int) -> None:
    """Shorten the RR interval that ends at `tick` by the time in which no beat could be seen: it is no bradycardia."""
    behind = min(memory.hidden, max(memory.hidden_last - tick, 0))  # hidden after this beat, which was found later
    for i in range(HISTORY):
        memory.r[i] += memory.hidden - behind
    memory.hidden = behind


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
        For the beat's height; nothing behind `found` is looked at.
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
    _take_out_hidden(memory, tick)
    memory.r[memory.n % HISTORY] = tick
    memory.r_sample[memory.n % HISTORY] = sample
    memory.n += 1
    memory.quiet = tick
    memory.quiet_sample = sample
    memory.from_beat = 1
    memory.since_quiet += 1
    count = clear(out, count, memory, PAUSE, sample)
    if memory.since_quiet >= 2:  # one artefact does not end an asystole
        count = clear(out, count, memory, ASYSTOLE, sample)

    beats = limits.tachycardia_beats
    limit = limits.tachycardia_rr
    mean = _mean_rr(memory, beats)
    if 0.0 < mean < limit:
        onset = memory.r_sample[(memory.n - beats) % HISTORY]
        count = raise_(out, count, memory, EXTREME_TACHYCARDIA, onset, now, MINUTE / mean, MINUTE / limit, 0.0)
    elif _is_fast(memory, limit):
        onset = memory.r_sample[(memory.n - 1 - SPAN) % HISTORY]
        rate = MINUTE / _mean_rr(memory, SPAN + 1)
        count = raise_(out, count, memory, EXTREME_TACHYCARDIA, onset, now, rate, MINUTE / limit, 0.0)
    elif mean > limit * HYSTERESIS:
        count = clear(out, count, memory, EXTREME_TACHYCARDIA, sample)

    beats = limits.bradycardia_beats
    limit = limits.bradycardia_rr
    mean = _mean_rr(memory, beats)
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
        memory.others += 1
        if memory.others >= OTHERS:
            memory.run = 0
            count = clear(out, count, memory, VENTRICULAR_RUN, sample)
            count = clear(out, count, memory, VENTRICULAR_TACHYCARDIA, sample)
        elif not memory.rule[VENTRICULAR_RUN].active:
            memory.run = 0
        return count
    if memory.run == 0:
        memory.run_tick = tick
        memory.run_sample = sample
    memory.run_r[memory.run % RUN_KEPT] = tick
    memory.run += 1
    memory.run_last = tick
    memory.others = 0
    onset = memory.run_sample
    beats = float(memory.run)
    if memory.run >= limits.run_beats:
        rate = MINUTE * (memory.run - 1) / max(tick - memory.run_tick, 1)
        count = raise_(out, count, memory, VENTRICULAR_RUN, onset, now, beats, rate, limits.run_beats)
    if memory.run >= limits.vt_beats:  # the newest beats of the run alone: it may have begun slowly
        first = memory.run_r[(memory.run - limits.vt_beats) % RUN_KEPT]
        mean = max(tick - first, 1) / (limits.vt_beats - 1)
        if mean < limits.vt_rr:
            limit = MINUTE / limits.vt_rr
            count = raise_(out, count, memory, VENTRICULAR_TACHYCARDIA, onset, now, beats, MINUTE / mean, limit)
    return count


@kernel
def on_epoch(memory: Row, limits: Row, epoch: Row, onset: int, now: int, out: Row, count: int) -> int:
    """A tenth of a second has passed; `onset` and `now` are the samples of its first and last tick."""
    tick = epoch.tick
    if not epoch.readable:
        memory.hidden += EPOCH
        memory.hidden_last = tick
        memory.quiet = tick  # nothing can be said of beats: the wait begins again once the signal is back
        memory.quiet_sample = now
        memory.from_beat = 0
        memory.run_last = tick
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
    if silent >= limits.asystole:
        memory.since_quiet = 0
        limit = limits.asystole / RATE
        count = raise_(out, count, memory, ASYSTOLE, memory.quiet_sample, now, silent / RATE, limit, 0.0)
    told = memory.rule[VENTRICULAR_RUN].active or memory.rule[VENTRICULAR_TACHYCARDIA].active
    if (memory.run > 0 or told) and tick - memory.run_last > RUN_ENDS:
        memory.run = 0
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
