"""Which ticks of a lead may carry beats: its quality, epoch by epoch, over the ticks of a call.

`detector.quality` judges one epoch. Here the epochs of a call are cut out of its ticks; those without a reading are
judged apart, and ticks after an epoch that is worse than noisy carry no beats until an epoch is better. But between the
beats of a slow heart all leads may be flat, and the next beat begins in a flat lead: `listen_to_flat`.
"""

from __future__ import annotations

from typing import Final

from detector import quality
from detector.arrays import copy
from detector.jit import hot
from detector.scratch import CARRIED_TICKS
from detector.types import EPOCH, FLAT, LEADS, NOISY, Row

DEAD: Final = 10  # epochs for which a lead is flat while another moves after which no beat begins in it (1 s)


@hot
def judge_epochs(state: Row, track: Row, lead: int, begun: int, ticks: int) -> None:
    """Judge a lead at the end of each epoch of this call, and say which ticks may carry beats (`track.valid`).

    The first epoch began `begun` ticks before the call.
    """
    lately, same, valid = state.quality[lead], state.last[lead].same, track.valid
    ending = (begun + ticks) // EPOCH
    if track.gone:
        _stay_gone(state, lead, ending)
        return
    if track.blank == 0 and same >= begun and lately.state <= NOISY:
        _judge_whole(state, track, lead, begun, ticks, ending)
        return
    if track.blank in (0, ticks):
        valid[:ticks] = track.blank == 0
        track.carries = track.blank == 0
    else:
        track.carries = 0
        copy(track.there[CARRIED_TICKS : CARRIED_TICKS + ticks], valid)
    ring = state.signal.mv[lead]
    number = state.n_epochs
    first = -begun
    while first < ticks:
        end = first + EPOCH
        if lately.state > NOISY:
            valid[max(first, 0) : min(end, ticks)] = 0
            track.carries = 0
        if end <= ticks:
            missing = 0
            if track.blank == ticks and end - min(same, 0) >= EPOCH:
                missing = EPOCH
            elif track.blank > 0 or end + max(same, 0) < EPOCH:
                for i in range(CARRIED_TICKS + first, CARRIED_TICKS + end):
                    missing += 1 - track.there[i]
            if missing == EPOCH:
                quality.lose(lately)
            else:
                quality.close(lately, track, CARRIED_TICKS + first, missing, ring, state.tick + end)
            state.epochs[number].lead[lead] = lately.state
            number += 1
        first = end


@hot
def _judge_whole(state: Row, track: Row, lead: int, begun: int, ticks: int, ending: int) -> None:
    """The same for a lead that may carry beats and of which no reading is missing, nor was in the epoch that has begun:
    nearly always.
    """
    lately, valid, states = state.quality[lead], track.valid, track.states
    first, tick = CARRIED_TICKS - begun, state.tick - begun + EPOCH
    worst = quality.close_all(lately, track, first, ending, state.signal.mv[lead], tick)
    for i in range(ending):
        state.epochs[state.n_epochs + i].lead[lead] = states[i]
    valid[:ticks] = 1
    track.carries = worst <= NOISY
    if worst > NOISY:
        for i in range(ending):
            if states[i] > NOISY:
                first = (i + 1) * EPOCH - begun
                valid[first : min(first + EPOCH, ticks)] = 0


@hot
def listen_to_flat(state: Row, scratch: Row, number: int, begun: int, ticks: int) -> None:
    """Let flat leads carry beats while no lead moves, but for those that stayed flat while another moved.

    The epochs of this call are the queue's from `number` on; the first began `begun` ticks before the call.
    """
    for i in range((begun + ticks) // EPOCH + 1):
        moves = False
        for lead in range(LEADS):
            if i > 0:
                state.last[lead].state = state.epochs[number + i - 1].lead[lead]
            moves = moves or state.last[lead].state <= NOISY
        for lead in range(LEADS):
            last, track = state.last[lead], scratch.lead[lead]
            if last.state != FLAT:
                last.dead = 0
            elif moves:
                last.dead += i > 0
            elif last.dead <= DEAD:
                first, end = max(i * EPOCH - begun, 0), min((i + 1) * EPOCH - begun, ticks)
                if track.blank == 0:
                    track.valid[first:end] = 1
                else:
                    copy(track.there[CARRIED_TICKS + first : CARRIED_TICKS + end], track.valid[first:])


@hot
def _stay_gone(state: Row, lead: int, epochs: int) -> None:
    """So many epochs end in which a lead is still gone."""
    quality.stay_lost(state.quality[lead], epochs)
    for i in range(epochs):
        state.epochs[state.n_epochs + i].lead[lead] = state.quality[lead].state
