"""The alarm rules of the signal: a lead off, flat, saturated or noisy, and no lead left to read. Pure kernels.

They look at nothing but the state of each lead in each epoch (`detector.quality`). A fault lasts until it has been gone
for `CALM`, and only the time in which it is there counts: a loose contact adds up. The evidence names the leads that
have the fault when it is raised, as bits; a lead that joins them later raises no further alert. Nobody is monitored
either while the signal begins anew over and over, be it that a device changes its leads or its clock.
"""

from __future__ import annotations

from typing import Final

from detector.doubt import condition
from detector.jit import kernel
from detector.types import EPOCH, FLAT, NOISY, OFF, RATE, SATURATED, Row
from stream.conditions import CALM, UNMONITORED, UNSETTLED, clear, is_unsettled, raise_
from stream.wire import Rule

LEAD_OFF: Final = int(Rule.LEAD_OFF)
FLAT_LINE: Final = int(Rule.FLAT_LINE)
SATURATED_LEAD: Final = int(Rule.SATURATED)
NOISY_LEAD: Final = int(Rule.NOISY)


@kernel
def on_epoch(memory: Row, limits: Row, epoch: Row, onset: int, now: int, out: Row, count: int) -> int:
    """A tenth of a second has passed; `onset` and `now` are the samples of its first and last tick.

    The new count of `out`.
    """
    count = _quality(memory, epoch, OFF, LEAD_OFF, limits.lead_off, onset, now, out, count)
    count = _quality(memory, epoch, FLAT, FLAT_LINE, limits.flat_line, onset, now, out, count)
    count = _quality(memory, epoch, SATURATED, SATURATED_LEAD, limits.saturated, onset, now, out, count)
    count = _quality(memory, epoch, NOISY, NOISY_LEAD, limits.noisy, onset, now, out, count)
    unsettled = is_unsettled(memory, epoch.tick)
    if memory.hidden_run == 0 and not unsettled:
        return clear(out, count, memory, UNMONITORED, now)
    if memory.hidden_run == EPOCH and not epoch.readable:
        memory.unmonitored_sample = onset
    if unsettled:
        held = (memory.unsettled + epoch.tick - memory.restarted) / RATE
        count = raise_(out, count, memory, UNMONITORED, onset, now, held, UNSETTLED / RATE, 0.0)
    if memory.hidden_run >= limits.unmonitored:
        held, limit = memory.hidden_run / RATE, limits.unmonitored / RATE
        count = raise_(out, count, memory, UNMONITORED, memory.unmonitored_sample, now, held, limit, 0.0)
    return count


@kernel
def _quality(
    memory: Row, epoch: Row, kind: int, rule: int, limit: int, onset: int, now: int, out: Row, count: int
) -> int:
    """The rule of one kind of fault: some lead has had it for as long as its limit, whatever the others do."""
    held, last, first = memory.lead_held[kind - NOISY], memory.lead_last[kind - NOISY], memory.lead_sample[kind - NOISY]
    faulty = False
    worst = leads = 0
    sample = onset
    for lead in range(memory.leads):
        if condition(epoch, lead) == kind:
            if held[lead] == 0:
                first[lead] = onset
            held[lead] += EPOCH
            last[lead] = epoch.tick
        elif epoch.tick - last[lead] >= CALM:
            held[lead] = 0
        faulty = faulty or held[lead] > 0
        if held[lead] >= limit:
            leads += 1 << lead
            if held[lead] >= worst:
                worst = held[lead]
                sample = first[lead]
    if leads:
        return raise_(out, count, memory, rule, sample, now, float(leads), worst / RATE, limit / RATE)
    return count if faulty else clear(out, count, memory, rule, now)
