"""One bed: the row that holds everything known of it, and the two steps that advance it.

`detect` runs the signal; `judge` then walks the time it covered, in order: a peak counts at the tick at which it was
found, a beat is read at R + 300 ms, the rules run at the end of every epoch. Neither sees where a frame ended.

A beat's first word falls when it is read, and the rules act on it. When the next beat is read, within
`model.pace.LONGEST_RR_S`, it has the last word; a beat that no other follows so soon, or before the bed starts anew,
keeps its first.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any, Final, NamedTuple, Self

import numpy as np

from detector import detector, resample
from detector.doubt import condition
from detector.jit import kernel
from detector.types import AFTER, BEAT_QUEUE, EPOCH, EPOCH_QUEUE, GOOD, LEADS, RATE, Array, Row
from model.codes import RHYTHMS
from model.pace import LONGEST_RR_S
from model.reader import Reader, Weights, read_beat
from model.state import LANGUAGE, SCORES
from stream import conditions, rhythm, rules, rules_height, rules_runs
from stream.frames import INVALID
from stream.limits import LIMITS

#: Layout of `BED`; a snapshot of another layout is refused. Raise it with every change of any part.
LAYOUT: Final = 23
AF: Final = RHYTHMS.index("(AFIB")
BROKEN: Final = 2 * round(LONGEST_RR_S * RATE)  # ticks from the last beat to a new start: longer than any RR interval

PENDING = np.dtype([("tick", "i8"), ("found", "i8"), ("sample", "i8"), ("log_odds", "f8")], align=True)

#: Where a bed is in its stream of frames.
INTAKE = np.dtype(
    [
        ("rate_mHz", "i8"),
        ("next_sample", "i8"),  # first sample not yet taken
        ("seq", "i8"),  # of the last frame taken
        ("device_us", "i8"),  # device time just after the last sample taken
        ("latest_us", "i8"),  # the latest of these since rate and leads were taken: a clock may be set back
        ("ingest_us", "i8"),  # of the last frame taken
        ("anchor_sample", "i8"),  # a sample ...
        ("anchor_us", "i8"),  # ... and its device time
        ("numbering", "i8"),  # times the device began to count its samples anew
        ("gap_first", "i8"),  # the last stretch of samples that never came
        ("gap_end", "i8"),
        ("stale", "i8"),  # instants of old frames in a row that follow one another
        ("stale_next", "i8"),  # first sample such a frame would have next
        ("last_first", "i8"),  # first sample of the last frame taken ...
        ("last_digest", "i8"),  # ... and CRC-32 of its samples
        ("taken_us", "i8"),  # of signal taken in all, whatever its numbers
        ("contested_us", "i8"),  # of it during which another device sent, too ...
        ("contested_at_us", "i8"),  # ... for the last time here
        ("foreign_us", "i8"),  # of that device's signal since the last frame taken
        ("two_devices", "u1"),  # whether that has been told
        ("other_rate_mHz", "i8"),  # of the stream of other count or clock that was taken before; 0: none
        ("other_next", "i8"),  # where it was left
        ("other_us", "i8"),
        ("failing", "u1"),  # whether the last frame met a bug
        ("onset_us", "i8", (conditions.RULES,)),  # device time of each alert's onset, as it was told
        ("leads", "S400"),  # the device's leads, comma separated
        ("column", "i8", (LEADS,)),  # of each analysed lead in the frame; -1: none
        ("mv_per_bit", "f8", (LEADS,)),
    ],
    align=True,
)

BED = np.dtype(
    [
        ("intake", INTAKE),
        ("detector", detector.DETECTOR),
        ("language", LANGUAGE),
        ("rhythm", rhythm.RHYTHM),
        ("rules", conditions.RULE_STATE),
        ("limits", LIMITS),
        ("pending", PENDING, (BEAT_QUEUE,)),  # found but not yet read
        ("n_pending", "i8"),
        ("last_beat", "i8"),  # sample of the last beat read; -1: none
        ("last_tick", "i8"),  # its R peak
        ("lead_state", "i1", (LEADS,)),  # of each lead at the last epoch judged, by itself ...
        ("declared", "i1", (LEADS,)),  # ... and as it is declared: noisy too while beats are in doubt
    ],
    align=True,
)

BEAT = np.dtype(
    [
        ("row", "i8"),
        ("sample", "i8"),
        ("label", "i8"),
        ("probability", "f4"),
        ("token", "i8"),
        ("rr", "i8"),  # samples since the last beat; 0: the first
        ("found", "i8"),  # ticks from R peak to detection
        ("known", "i8"),  # ticks from R peak to class
    ],
    align=True,
)

#: The last word on a beat, once the next has been read.
REVISION = np.dtype(
    [
        ("row", "i8"),
        ("sample", "i8"),  # of the beat
        ("label", "i8"),
        ("probability", "f4"),
        ("known", "i8"),  # ticks from its R peak to this word
    ],
    align=True,
)

#: Which of `Events.counts` counts what.
BEATS_READ, REVISED, MARKED, TRANSITIONS = range(4)
FIRST, LAST = range(2)  # words on a beat


class Events(NamedTuple):
    """What `judge` says of beds: rows of what kind, and how many of each there are."""

    beats: Any  #: BEAT
    revisions: Any  #: REVISION
    marks: Any  #: rhythm.MARK
    transitions: Any  #: conditions.TRANSITION
    counts: Any  #: int64, shape (4,)
    words: Any  #: float32, shape (2, SCORES): room for the two words of a beat
    rhythms: Any  #: float32, shape (len(RHYTHMS),): room for what is read of the rhythm with it

    @classmethod
    def of(cls, rows: int) -> Self:
        """Room for all that one `judge` of so many beds can say."""
        beats, revisions, marks, transitions = room(rows)
        return cls(
            np.empty(beats, BEAT),
            np.empty(revisions, REVISION),
            np.empty(marks, rhythm.MARK),
            np.empty(transitions, conditions.TRANSITION),
            np.zeros(4, np.int64),
            np.zeros((2, SCORES), np.float32),
            np.zeros(len(RHYTHMS), np.float32),
        )


#: Stretches of samples for `detect`: row, first index in the buffer, instants.
JOB = np.dtype([("row", "i8"), ("first", "i8"), ("count", "i8")], align=True)


@kernel
def begin(bed: Row, rate_mHz: int, sample: int, leads: int) -> None:
    """A new bed whose first sample is `sample`."""
    detector.begin(bed.detector, rate_mHz, sample)
    conditions.begin(bed.rules, bed.detector.tick, sample)
    rhythm.begin(bed.rhythm, sample)
    _await(bed, leads)


@kernel
def restart(bed: Row, rate_mHz: int, sample: int, leads: int) -> None:
    """The stream goes on at `sample` with nothing before it to build on; alerts stay as they are.

    Ticks do not count what lies between: the last beat is moved so far back that no RR interval is told from it.
    """
    detector.begin(bed.detector, rate_mHz, sample)
    conditions.restart(bed.rules, bed.detector.tick, sample)
    rhythm.restart(bed.rhythm, sample)
    bed.language.peak = bed.detector.tick - BROKEN
    _await(bed, leads)


@kernel
def _await(bed: Row, leads: int) -> None:
    """No beat has been found or read yet."""
    bed.rules.leads = leads
    bed.n_pending = 0
    bed.last_beat = -1
    bed.lead_state[:] = GOOD
    bed.declared[:] = GOOD


@kernel
def detect(table: Array, jobs: Array, samples: Array, scratch: Row) -> None:
    """Run the signal of every job through its bed's detector.

    Parameters
    ----------
    table : BED, shape (beds,)
    jobs : JOB, shape (jobs,)
        Each at most one second.
    samples : int16, shape (LEADS, instants)
    scratch : detector.scratch.SCRATCH
        Room to work in.
    """
    for i in range(len(jobs)):
        job = jobs[i]
        bed = table[job.row]
        detector.update(bed.detector, samples, job.first, job.count, bed.intake.mv_per_bit, INVALID, scratch)


@kernel
def judge(table: Array, rows: Array, weights: Weights, events: Events) -> None:
    """Judge each of these beds up to its newest tick.

    Parameters
    ----------
    table : BED, shape (beds,)
    rows : int64, shape (rows,)
    weights : model.reader.Weights
    events : Events
        Made for as many rows; none is in it yet.
    """
    counts = events.counts
    for i in range(len(rows)):
        beats, revised, marked, moved = counts[BEATS_READ], counts[REVISED], counts[MARKED], counts[TRANSITIONS]
        _judge_bed(table[rows[i]], weights, events)
        for k in range(beats, counts[BEATS_READ]):
            events.beats[k].row = rows[i]
        for k in range(revised, counts[REVISED]):
            events.revisions[k].row = rows[i]
        for k in range(marked, counts[MARKED]):
            events.marks[k].row = rows[i]
        for k in range(moved, counts[TRANSITIONS]):
            events.transitions[k].row = rows[i]


@kernel
def _judge_bed(bed: Row, weights: Weights, events: Events) -> None:
    marks, transitions, counts = events.marks, events.transitions, events.counts
    state = bed.detector
    peak = 0
    for e in range(state.n_epochs):
        epoch = state.epochs[e]
        peak = _advance(bed, epoch.tick, peak, weights, events)
        first = resample.sample_of(state.input, epoch.tick - EPOCH + 1)
        now = resample.sample_of(state.input, epoch.tick)
        rules_height.follow_pacing(bed.rules, state.signal, epoch.tick)
        fibrillating = bed.rules.rule[rules.VENTRICULAR_FIBRILLATION].active
        counts[TRANSITIONS] = rules.on_epoch(bed.rules, bed.limits, epoch, first, now, transitions, counts[TRANSITIONS])
        if bed.rules.rule[rules.VENTRICULAR_FIBRILLATION].active != fibrillating:
            if fibrillating and bed.rhythm.code == rhythm.VF:
                counts[MARKED] = rhythm.end_vf(bed.rhythm, now, marks, counts[MARKED])
            elif not fibrillating and not bed.rules.vf_doubted:
                counts[MARKED] = rhythm.begin_vf(bed.rhythm, bed.rules.vf_sample, marks, counts[MARKED])
        counts[MARKED] = rhythm.on_epoch(bed.rhythm, epoch, bed.rules.leads, first, marks, counts[MARKED])
        for lead in range(LEADS):
            bed.lead_state[lead] = epoch.lead[lead]
            bed.declared[lead] = condition(epoch, lead)
    _advance(bed, state.tick - 1, peak, weights, events)
    detector.empty(state)


@kernel
def _advance(bed: Row, until: int, peak: int, weights: Weights, events: Events) -> int:
    """Take the peaks found and the beats due up to tick `until`, in order of time; the number of peaks taken."""
    state, counts = bed.detector, events.counts
    while True:
        due = bed.pending[0].tick + AFTER if bed.n_pending > 0 else until + 1
        if bed.n_pending > 0:
            due = max(due, bed.pending[0].found)
        found = state.peaks[peak].found if peak < state.n_peaks else until + 1
        if found <= due and found <= until:
            new = bed.pending[bed.n_pending]
            new.tick = state.peaks[peak].tick
            new.found = found
            new.log_odds = state.peaks[peak].log_odds
            new.sample = resample.sample_of(state.input, new.tick)
            now = resample.sample_of(state.input, found)
            counts[TRANSITIONS] = rules.on_peak(
                bed.rules,
                bed.limits,
                state.signal,
                bed.lead_state,
                new.tick,
                found,
                new.sample,
                now,
                events.transitions,
                counts[TRANSITIONS],
            )
            bed.n_pending += 1
            peak += 1
        elif due <= until:
            _read(bed, due, weights, events)
        else:
            return peak


@kernel
def _likeliest(probabilities: Array) -> int:
    """The class of the greatest probability, the first of equals."""
    label = 0
    for k in range(1, SCORES):
        if probabilities[k] > probabilities[label]:
            label = k
    return label


@kernel
def _read(bed: Row, due: int, weights: Weights, events: Events) -> None:
    """Read the oldest pending beat at tick `due`: the rules act on it, and the beat before gets its last word."""
    state, counts = bed.detector, events.counts
    first_word, last_word = events.words[FIRST], events.words[LAST]
    first = bed.pending[0]
    out = events.beats[counts[BEATS_READ]]
    out.token = read_beat(
        bed.language,
        weights,
        state.signal,
        first.tick,
        first.log_odds,
        bed.lead_state,
        first_word,
        last_word,
        events.rhythms,
    )
    label = _likeliest(first_word)
    out.label = label
    out.probability = first_word[label]
    out.sample = first.sample
    out.rr = first.sample - bed.last_beat if bed.last_beat >= 0 else 0
    out.found = first.found - first.tick
    out.known = due - first.tick
    counts[BEATS_READ] += 1
    settled = _likeliest(last_word)
    if bed.last_beat >= 0 and last_word[settled] > 0.0:
        revision = events.revisions[counts[REVISED]]
        revision.sample = bed.last_beat
        revision.label = settled
        revision.probability = last_word[settled]
        revision.known = due - bed.last_tick
        counts[REVISED] += 1
    bed.last_beat = first.sample
    bed.last_tick = first.tick
    now = resample.sample_of(state.input, due)
    counts[TRANSITIONS] = rules.on_beat(
        bed.rules,
        bed.limits,
        label,
        first_word[rules_runs.VENTRICULAR],
        first.tick,
        first.sample,
        now,
        events.transitions,
        counts[TRANSITIONS],
    )
    counts[MARKED] = rhythm.on_beat(
        bed.rhythm, label, events.rhythms[AF], first.tick, first.sample, events.marks, counts[MARKED]
    )
    for k in range(1, bed.n_pending):
        bed.pending[k - 1] = bed.pending[k]
    bed.n_pending -= 1


def room(rows: int) -> tuple[int, int, int, int]:
    """Upper bounds of the beats, revisions, marks and transitions that one `judge` of so many beds can write."""
    read = 2 * BEAT_QUEUE * rows  # what was pending and what is queued
    epochs = EPOCH_QUEUE * rows
    return read, read, read + 3 * epochs, 2 * conditions.RULES * (BEAT_QUEUE * rows + read + epochs)


def signature(reader: Reader) -> bytes:
    """What a snapshot must begin with: its layout depends on the row's type, its meaning on the model."""
    digest = hashlib.blake2b(digest_size=16)
    digest.update(f"{LAYOUT} {BED.descr}".encode())
    digest.update(json.dumps(reader.card, sort_keys=True, default=str).encode())
    return b"telebeat" + digest.digest()
