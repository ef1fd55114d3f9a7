"""The alarm rules of the signal: a lead off, flat, saturated or noisy, and no lead left to read. Pure kernels.

They look at nothing but the state of each lead in each epoch (`detector.quality`). The evidence names the leads that
have the fault when it is raised, as bits; a lead that joins them later raises no further alert.
"""

from __future__ import annotations

from typing import Final

from detector.doubt import condition
from detector.jit import kernel
from detector.types import EPOCH, FLAT, NOISY, OFF, RATE, SATURATED, Row
from stream.conditions import clear, raise_
from stream.wire import Rule

CALM: Final = RATE  # ticks without a lead's fault that end its alert, so that a loose contact is one alert

LEAD_OFF: Final = int(Rule.LEAD_OFF)
FLAT_LINE: Final = int(Rule.FLAT_LINE)
SATURATED_LEAD: Final = int(Rule.SATURATED)
NOISY_LEAD: Final = int(Rule.NOISY)
UNMONITORED: Final = int(Rule.UNMONITORED)


@kernel
def on_epoch(memory: Row, limits: Row, epoch: Row, onset: int, now: int, out: Row, count: int) -> int:
    """A tenth of a second has passed; `onset` and `now` are the samples of its first and last tick.

    The new count of `out`.
    """
    count = _quality(memory, epoch, OFF, LEAD_OFF, limits.lead_off, onset, now, out, count)
    count = _quality(memory, epoch, FLAT, FLAT_LINE, limits.flat_line, onset, now, out, count)
    count = _quality(memory, epoch, SATURATED, SATURATED_LEAD, limits.saturated, onset, now, out, count)
    count = _quality(memory, epoch, NOISY, NOISY_LEAD, limits.noisy, onset, now, out, count)
    state = memory.rule[UNMONITORED]
    if epoch.readable:
        state.since = -1
        return clear(out, count, memory, UNMONITORED, now)
    if state.since < 0:
        state.since = epoch.tick
        memory.unmonitored_sample = onset
    held = epoch.tick - state.since
    if held >= limits.unmonitored:
        limit = limits.unmonitored / RATE
        count = raise_(out, count, memory, UNMONITORED, memory.unmonitored_sample, now, held / RATE, limit, 0.0)
    return count


@kernel
def _quality(
    memory: Row, epoch: Row, kind: int, rule: int, limit: int, onset: int, now: int, out: Row, count: int
) -> int:
    """The rule of one kind of fault: some lead has had it for as long as its limit, whatever the others do."""
    state = memory.rule[rule]
    worst = 0
    leads = 0
    for lead in range(memory.leads):
        if condition(epoch, lead) == kind:
            state.since = epoch.tick
            if memory.lead_since[kind - NOISY, lead] < 0:
                memory.lead_since[kind - NOISY, lead] = epoch.tick
                memory.lead_sample[kind - NOISY, lead] = onset
        else:
            memory.lead_since[kind - NOISY, lead] = -1
    sample = onset
    for lead in range(memory.leads):
        since = memory.lead_since[kind - NOISY, lead]
        if since >= 0 and epoch.tick - since + EPOCH >= limit:
            leads += 1 << lead
            if epoch.tick - since >= worst:
                worst = epoch.tick - since
                sample = memory.lead_sample[kind - NOISY, lead]
    if leads:
        held = (worst + EPOCH) / RATE
        return raise_(out, count, memory, rule, sample, now, float(leads), held, limit / RATE)
    if state.active and epoch.tick - state.since >= CALM:
        return clear(out, count, memory, rule, now)
    return count
