"""Conditions that begin and end, and what the alarm rules remember of a bed. Pure kernels, no clock.

A rule speaks through `raise_` and `clear`, which write a transition; between them a condition is *active* and is not
raised again. What a transition tells (onset, decision, evidence) stays in the bed's row until the condition ends, so
that the alert's last message is complete.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from detector.jit import kernel
from detector.types import LEADS, LONG_AGO, RATE, Row
from stream.wire import Rule

RULES: Final = len(Rule)
EVIDENCE: Final = 3  # numbers that go with an alert; their names are in `stream.catalogue`
HISTORY: Final = 32  # beats remembered: the longest rule looks at 17
HEIGHTS: Final = 16  # beats whose height is remembered: a short run of large ectopic beats is not the usual height
CALM: Final = RATE  # ticks without a fault of the signal that end it, so that a loose contact is one alert
LOOK_BACK: Final = 3 * RATE  # ticks that a lead's quality may need to see again that it is flat
LEARNED: Final = 5  # beats after which the detector's levels are medians and not guesses
UNSETTLED: Final = 10 * RATE  # ticks of a signal that begins anew over and over after which nobody is monitored
MINUTE: Final = 60.0 * RATE  # ticks
RUN_KEPT: Final = 16  # R peaks kept of a run: the limit for a tachycardia is at most 15 beats

ASYSTOLE: Final = int(Rule.ASYSTOLE)
UNMONITORED: Final = int(Rule.UNMONITORED)
#: Rules of a lead's faults, in the order of its states from `detector.types.NOISY` on.
FAULTS: Final = np.array([Rule.NOISY, Rule.SATURATED, Rule.FLAT_LINE, Rule.LEAD_OFF], np.int64)

RULE = np.dtype(
    [
        ("active", "i1"),
        ("since", "i8"),  # tick at which the condition began to hold; -1: it does not
        ("onset", "i8"),  # sample, while active
        ("decided", "i8"),  # sample
        ("evidence", "f8", (EVIDENCE,)),
    ],
    align=True,
)

#: What the rules remember of a bed, of its rhythm (`stream.rules`) and of its leads (`stream.rules_signal`).
RULE_STATE = np.dtype(
    [
        ("rule", RULE, (RULES,)),
        ("r", "i8", (HISTORY,)),  # ticks of the last R peaks, in a ring by n
        ("r_sample", "i8", (HISTORY,)),  # the same in samples
        ("r_hidden", "i8", (HISTORY,)),  # ticks in which no lead could be read, up to each of them
        ("n", "i8"),
        ("hidden", "i8"),  # the same up to now
        ("hidden_last", "i8"),  # the last such tick
        ("hidden_run", "i8"),  # such ticks since a lead could last be read for long
        ("quiet", "i8"),  # tick since which a readable signal has shown no beat
        ("quiet_sample", "i8"),
        ("from_beat", "i1"),  # whether that tick is an R peak, and all since could be read
        ("doubtful", "i1"),  # whether the beats were in doubt at the last epoch
        ("doubted", "i8"),  # ticks for which they have been, without a break
        ("height", "f4", (HEIGHTS, LEADS)),  # mV of the last beats, in a ring by n_heights
        ("n_heights", "i8"),
        ("paced_since", "i8"),  # tick at which a pacemaker was found at work, as of those
        ("small", "i8"),  # beats in a row too small to be believed
        ("since_quiet", "i8"),  # beats since the last asystole was raised
        ("fast", "i8"),  # the last beat at which the rate was too high, by its number
        ("run", "i8"),  # ventricular beats in a row, but for others that were forgiven
        ("streak", "i8"),  # the last of them that no other beat parts
        ("forgave", "i1"),  # whether a beat in between was forgiven since the last three in a row
        ("run_tick", "i8"),  # R peak of the first of them
        ("run_sample", "i8"),
        ("run_last", "i8"),  # R peak of the last of them
        ("run_r", "i8", (RUN_KEPT,)),  # R peaks of the last of them, in a ring by run
        ("run_r_sample", "i8", (RUN_KEPT,)),  # the same in samples
        ("run_probability", "f4", (RUN_KEPT,)),  # how likely each of these is ventricular
        ("slowed", "i8"),  # beats it had when a tachycardia had become a slow run; 0: none has
        ("others", "i8"),  # beats in a row that are not ventricular
        ("maybe", "i8"),  # beats in a row that may be ventricular, however they are read
        ("maybe_r", "i8", (RUN_KEPT,)),  # R peaks of the last of them, in a ring by maybe, ...
        ("maybe_sample", "i8", (RUN_KEPT,)),  # ... the same in samples, ...
        ("maybe_probability", "f4", (RUN_KEPT,)),  # ... how likely each is ventricular, ...
        ("maybe_other", "i1", (RUN_KEPT,)),  # ... and whether it is read as another beat
        ("vf_sample", "i8"),
        ("vf_last", "i8"),  # last tick that looked like fibrillation
        ("vf_doubted", "i1"),  # whether it began where the beats had long been in doubt: amid noise, it may be no more
        ("vf_calmed", "i1"),  # whether normal beats have ended it, and their row goes on
        ("calm", "i8"),  # normal beats in a row, neither fast nor slow; since fibrillation was raised, while it is told
        ("read_last", "i8"),  # R peak of the last beat that was classed
        ("unmonitored_sample", "i8"),
        ("restarted", "i8"),  # tick at which the signal began anew
        ("unsettled", "i8"),  # ticks before that since it last showed `LEARNED` beats without beginning anew
        ("leads", "i8"),  # that the device has
        ("lead_held", "i8", (4, LEADS)),  # ticks for which a lead is noisy, saturated, flat, off, or was just before
        ("lead_last", "i8", (4, LEADS)),  # the last such tick
        ("lead_sample", "i8", (4, LEADS)),  # the first such sample
    ],
    align=True,
)

TRANSITION = np.dtype(
    [
        ("row", "i8"),
        ("rule", "i8"),
        ("raised", "i1"),
        ("onset", "i8"),
        ("decided", "i8"),
        ("cleared", "i8"),
        ("evidence", "f8", (EVIDENCE,)),
    ],
    align=True,
)


@kernel
def begin(memory: Row, tick: int, sample: int) -> None:
    """Start at this tick with no condition active."""
    for rule in range(RULES):
        memory.rule[rule].active = 0
    memory.n = 0
    memory.vf_doubted = 0
    memory.restarted = tick
    memory.unsettled = 0
    restart(memory, tick, sample)


@kernel
def restart(memory: Row, tick: int, sample: int) -> None:
    """Forget the rhythm, since the signal before this tick has no bearing on what follows; alerts stay as they are.

    So does what ends them: for an asystole the usual height of beats, or P waves would end it; for a lead's fault, and
    for `unmonitored`, how long it has lasted.
    """
    for rule in range(RULES):
        memory.rule[rule].since = -1
    since = min(tick - memory.restarted, UNSETTLED // 2)  # one long time without beats is no unrest
    memory.unsettled = memory.unsettled + since if memory.n < LEARNED else 0
    memory.restarted = tick
    memory.n = 0
    memory.hidden = 0
    memory.hidden_last = tick - CALM
    if memory.rule[UNMONITORED].active:
        memory.hidden_last = tick
    else:
        memory.hidden_run = 0
    for kind in range(len(FAULTS)):
        if memory.rule[FAULTS[kind]].active:
            memory.lead_last[kind] = tick + LOOK_BACK
        else:
            memory.lead_held[kind] = 0
    if not memory.rule[ASYSTOLE].active:
        memory.n_heights = 0
    memory.paced_since = LONG_AGO
    memory.quiet = tick
    memory.quiet_sample = sample
    memory.from_beat = 0
    memory.doubtful = 0
    memory.doubted = 0
    memory.small = 0
    memory.since_quiet = 0
    memory.fast = 0
    memory.vf_calmed = 0
    memory.calm = 0
    memory.read_last = tick
    memory.run_last = tick
    break_run(memory)


@kernel
def is_unsettled(memory: Row, tick: int) -> bool:
    """Whether the signal has begun anew so often that for long no beats could be learned, and no asystole be told."""
    since = tick - memory.restarted
    again = memory.unsettled > 0 and since < UNSETTLED
    return bool(again and memory.n < LEARNED and memory.unsettled + since >= UNSETTLED)


@kernel
def break_run(memory: Row) -> None:
    """Ventricular beats that come are none of those before."""
    end_run(memory)
    memory.maybe = 0


@kernel
def end_run(memory: Row) -> None:
    """The run of ventricular beats is over; its last beats may be the first of the next."""
    memory.run = 0
    memory.slowed = 0
    memory.streak = 0
    memory.forgave = 0
    memory.others = 0


@kernel
def raise_(out: Row, count: int, memory: Row, rule: int, onset: int, decided: int, a: float, b: float, c: float) -> int:
    """Begin a condition unless it is active; the new count of `out`."""
    state = memory.rule[rule]
    if state.active:
        return count
    state.active = 1
    state.onset = onset
    state.decided = decided
    state.evidence[0] = a
    state.evidence[1] = b
    state.evidence[2] = c
    return _write(out, count, state, rule, 1, -1)


@kernel
def clear(out: Row, count: int, memory: Row, rule: int, sample: int) -> int:
    """End a condition if it is active; the new count of `out`."""
    state = memory.rule[rule]
    if not state.active:
        return count
    state.active = 0
    # The R peak that ends a pause may lie before the tick at which the pause was declared.
    return _write(out, count, state, rule, 0, max(sample, state.decided))


@kernel
def _write(out: Row, count: int, state: Row, rule: int, raised: int, cleared: int) -> int:
    line = out[count]
    line.rule = rule
    line.raised = raised
    line.onset = state.onset
    line.decided = state.decided
    line.cleared = cleared
    for i in range(EVIDENCE):
        line.evidence[i] = state.evidence[i]
    return count + 1
