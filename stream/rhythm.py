"""The rhythm a patient is in, told from classed beats, and the signal's readability, told from epochs.

Both become marks: WFDB's `+` and `~` annotations. The rhythm is what the last beats say: a ventricular or
supraventricular run, bigeminy and trigeminy by the order of their classes; atrial fibrillation by the log odds that are
read with each beat (`model.rhythm_head`), in a running mean; else the basic rhythm. While ventricular fibrillation is
told, it is the rhythm, between `[` and `]`.

The mean must be above one level to begin fibrillation and below another to end it, so that it does not flicker. The
levels, the mean's length and how far back a begin is put were chosen on the development records, by heads that were not
fitted to the heart (`benchmarks.rhythm_head`).
"""

from __future__ import annotations

from typing import Final

import numpy as np

from detector.doubt import condition
from detector.jit import kernel
from detector.types import GOOD, LEADS, NOISY, RATE, Row
from model.codes import ALL_NOISY, CLASSES, DOUBTED, UNREADABLE
from stream.rules_runs import VENTRICULAR
from stream.wire import VF_RHYTHM

HISTORY: Final = 32  # beats remembered: a run is followed over so many
SHARE: Final = 0.1  # of a beat in the mean of log odds, once there are ten: beats of half a dozen seconds
FEWEST: Final = 12  # beats in it before a rhythm is told by it
BEGINS: Final = 0.0  # mean log odds from which a rhythm begins: as likely as not ...
ENDS: Final = -1.0  # ... and below which it ends
LATE: Final = 12  # beats before it is told from which on it is said to have been so: the mean takes as long to turn
PATTERNS: Final = 3  # of N V in a row make a bigeminy, as many of N N V a trigeminy
RUN: Final = 3  # beats in a row make a run
RUN_RR: Final = 0.6 * RATE  # ticks: a run is faster than 100 beats a minute
SETTLED: Final = 10  # epochs a change of readability must last to be told (1 s)
SUPRAVENTRICULAR: Final = CLASSES.index("S")

#: Rhythms, and their WFDB names in the same order.
NONE, BASIC, AF, SV_RUN, V_RUN, BIGEMINY, TRIGEMINY, VF = range(8)
AUX: Final = ("", "(N", "(AFIB", "(SVTA", "(VT", "(B", "(T", VF_RHYTHM)

RHYTHM = np.dtype(
    [
        ("code", "i8"),
        ("sample", "i8", (HISTORY,)),  # of the last beats, in a ring by n
        ("tick", "i8", (HISTORY,)),
        ("label", "i1", (HISTORY,)),
        ("n", "i8"),
        ("log_odds", "f8"),  # running mean of those of atrial fibrillation read with each beat
        ("fibrillating", "i1"),  # whether it has begun by them, and not ended
        ("told", "i8"),  # sample up to which rhythms have been told
        ("quality", "i8"),  # subtype last told
        ("next", "i8"),  # subtype that wants to be told
        ("next_for", "i8"),  # epochs it has lasted
        ("next_sample", "i8"),
    ],
    align=True,
)

#: Kinds of mark.
RHYTHM_MARK, QUALITY_MARK, VF_BEGINS, VF_ENDS = range(4)
MARK = np.dtype([("row", "i8"), ("kind", "i8"), ("sample", "i8"), ("code", "i8")], align=True)


@kernel
def begin(state: Row, sample: int) -> None:
    """No beat yet; the first sample is `sample`."""
    state.code = NONE
    state.quality = 0
    restart(state, sample)


@kernel
def restart(state: Row, sample: int) -> None:
    """Forget the beats, keep what was told; `sample` is the next, and may count anew."""
    state.told = sample - 1
    _forget_beats(state)
    state.next = state.quality
    state.next_for = 0


@kernel
def _forget_beats(state: Row) -> None:
    state.n = 0
    state.log_odds = 0.0
    state.fibrillating = 0


@kernel
def begin_vf(state: Row, sample: int, out: Row, count: int) -> int:
    """Ventricular fibrillation has been told to begin at `sample`; the new count of `out`.

    It is the rhythm until it ends, whatever the detector takes for beats meanwhile.
    """
    state.code = VF
    state.told = max(state.told, sample)
    count = mark(out, count, RHYTHM_MARK, sample, VF)
    return mark(out, count, VF_BEGINS, sample, 0)


@kernel
def end_vf(state: Row, sample: int, out: Row, count: int) -> int:
    """Ventricular fibrillation has ended at `sample`; the new count of `out`.

    The rhythm then follows from the beats after this moment. It is ended, too, where the signal is cut off: nothing
    else could end it, and it would stay the rhythm for ever.
    """
    state.code = NONE
    state.told = sample
    _forget_beats(state)
    return mark(out, count, VF_ENDS, sample, 0)


@kernel
def mark(out: Row, count: int, kind: int, sample: int, code: int) -> int:
    """Write a mark; the new count of `out`."""
    out[count].kind = kind
    out[count].sample = sample
    out[count].code = code
    return count + 1


@kernel
def _label(state: Row, back: int) -> int:
    """Label of the beat `back` before the newest; -1 before the first."""
    return int(state.label[(state.n - 1 - back) % HISTORY]) if back < min(state.n, HISTORY) else -1


@kernel
def _run(state: Row, label: int) -> int:
    """How many beats up to the newest carry this label, up to `HISTORY`."""
    length = 0
    while length < HISTORY and _label(state, length) == label:
        length += 1
    return length


@kernel
def _repeats(state: Row, period: int) -> bool:
    """Whether the last beats are `PATTERNS` times (period - 1) others and a ventricular one, in any phase."""
    seen = PATTERNS * period
    if state.n < seen:
        return False
    phase = -1
    for back in range(period):
        if _label(state, back) == VENTRICULAR:
            phase = back
            break
    if phase < 0:
        return False
    for back in range(seen):
        if (_label(state, back) == VENTRICULAR) != (back % period == phase):
            return False
    return True


@kernel
def on_beat(state: Row, label: int, log_odds: float, tick: int, sample: int, out: Row, count: int) -> int:
    """A beat was read; writes a mark when the rhythm has changed; the new count of `out`.

    Parameters
    ----------
    state : RHYTHM, changed
    label : int
        Its class, of `CLASSES`.
    log_odds : float
        Of atrial fibrillation, as read with it.
    tick, sample : int
        Of its R peak.
    out : MARK, shape (n,)
    count : int
        How many are in `out`.
    """
    if state.code == VF or (state.code == NONE and sample <= state.told):
        return count
    _remember(state, label, log_odds, tick, sample)
    code, back = _pattern(state)
    if code == state.code or (code == AF and label == VENTRICULAR):  # a mark within a couplet would part it
        return count
    while code == AF and _label(state, back) == VENTRICULAR:
        back -= 1
    onset = sample
    resumed = code == AF and state.code != BASIC  # a run or bigeminy amid fibrillation lasts up to here
    if code != BASIC and state.code != NONE and not resumed:
        onset = max(state.sample[(state.n - 1 - min(back, state.n - 1)) % HISTORY], state.told + 1)
    state.code = code
    state.told = onset
    return mark(out, count, RHYTHM_MARK, onset, code)


@kernel
def _remember(state: Row, label: int, log_odds: float, tick: int, sample: int) -> None:
    """Put a beat into the ring, and what was read with it into the mean."""
    here = state.n % HISTORY
    state.tick[here] = tick
    state.sample[here] = sample
    state.label[here] = label
    state.n += 1
    state.log_odds += max(SHARE, 1.0 / state.n) * (log_odds - state.log_odds)
    if state.log_odds >= BEGINS and state.n >= FEWEST:
        state.fibrillating = 1
    elif state.log_odds < ENDS:
        state.fibrillating = 0


@kernel
def _pattern(state: Row) -> tuple[int, int]:
    """The rhythm that the last beats make, and how many beats before the newest it began."""
    ventricular = _run(state, VENTRICULAR)
    supraventricular = _run(state, SUPRAVENTRICULAR)
    if ventricular >= RUN and _mean_rr(state, ventricular) < RUN_RR:
        return V_RUN, ventricular - 1
    if supraventricular >= RUN and _mean_rr(state, supraventricular) < RUN_RR and not state.fibrillating:
        return SV_RUN, supraventricular - 1
    if _repeats(state, 2):
        return BIGEMINY, 2 * PATTERNS - 1
    if _repeats(state, 3):
        return TRIGEMINY, 3 * PATTERNS - 1
    if state.fibrillating:
        return AF, LATE
    return BASIC, 0


@kernel
def _mean_rr(state: Row, beats: int) -> float:
    """Mean RR in ticks over the last `beats` beats, with the one before them where it is known."""
    newest = state.tick[(state.n - 1) % HISTORY]
    first = min(beats, state.n - 1, HISTORY - 1)
    return float((newest - state.tick[(state.n - 1 - first) % HISTORY]) / max(first, 1))


@kernel
def on_epoch(state: Row, epoch: Row, leads: int, onset: int, out: Row, count: int) -> int:
    """Tell a change of readability once it has lasted; the new count of `out`."""
    subtype = 0
    noisy = good = False
    for lead in range(leads):
        declared = condition(epoch, lead)
        good |= declared == GOOD
        noisy |= declared == NOISY
        if declared == NOISY:
            subtype |= 1 << lead
        elif declared > NOISY:
            subtype |= 1 << (4 + lead)
    if noisy and not good:
        subtype |= ALL_NOISY
    if epoch.doubtful:
        subtype |= DOUBTED
    if not epoch.readable:
        subtype |= UNREADABLE
    if subtype == state.quality:
        state.next = subtype
        state.next_for = 0
        return count
    if subtype != state.next:
        state.next = subtype
        state.next_for = 0
        state.next_sample = onset
    state.next_for += 1
    if state.next_for < SETTLED:
        return count
    state.quality = subtype
    return mark(out, count, QUALITY_MARK, state.next_sample, subtype)


assert LEADS <= 4, "a `~` annotation has four bits a kind"
