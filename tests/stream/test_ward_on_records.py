"""The ward on stretches of real recordings where much happens at once: framing, crash, only the past, never silent.

A quiet hour guards weakly: a field of the state that nothing reads for a minute can be lost without a trace. Each
stretch here has alarms that open and close, leads that change, beats found late or none at all, and the crash points
lie where most is at stake: while an alarm is open, and between an R peak and its decision.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import numpy as np
import pytest

from detector.types import BEAT_QUEUE, EPOCH_QUEUE, LEADS
from model import dataset
from model.codes import CLASSES
from model.lstm import classify_sequence
from model.reader import spell
from model.strip import Strip
from model.words import FIELDS, RR
from replay import script
from replay.framing import held
from replay.records import Record, find_records, read_record
from stream.collector import Output
from stream.errors import RecordError
from stream.frames import Frame
from stream.settings import data_dirs
from stream.ward import Ward
from stream.wire import Alert, Beat, Revision
from tests.detector.recordings import each_source, strips
from tests.stream.wards import Said, cut, reader, through


class Stretch(NamedTuple):
    """A stretch of a record and why it is here."""

    database: str
    record: str
    first_s: int
    seconds: int
    why: str


#: Found by what the ward says of them: the most kinds of event in a minute, in the fewest stretches together.
STRETCHES: Final = (
    Stretch("cudb", "cu30", 100, 70, "fibrillation ends in a lead off, an asystole and a slow rhythm; AF, trigeminy"),
    Stretch("cudb", "cu12", 295, 60, "fibrillation, pause, asystole, bradycardia; its only lead turns noisy and good"),
    Stretch("cudb", "cu22", 425, 60, "saturated twice in fibrillation, then three pauses with searches back"),
    Stretch("cinc2015", "v241l", 90, 60, "both leads off and on again twice; fibrillation, bradycardia"),
    Stretch("cinc2015", "a699l", 245, 55, "two asystoles and five pauses on flat lines"),
    Stretch("cinc2015", "t777l", 245, 55, "four ventricular runs in noise; bigeminy, tachycardia"),
    Stretch("cinc2015", "a382s", 135, 60, "a lead off, saturated twice, pauses, trigeminy"),
    Stretch("vfdb", "422", 2025, 60, "flutter and three tachycardias; bigeminy, a search back"),
    Stretch("vfdb", "612", 1465, 60, "fibrillation in noise on one lead, then on both"),
    Stretch("vfdb", "427", 1150, 60, "levels fade in fibrillation: five searches back, a pause"),
    Stretch("mitdb", "207", 250, 60, "ventricular flutter"),
    Stretch("mitdb", "223", 1515, 60, "a search back out of a ventricular tachycardia; trigeminy"),
    Stretch("svdb", "804", 1115, 60, "noise ends; ventricular tachycardia out of AF"),
    Stretch("cpsc2021", "data_101_6", 25, 60, "AF begins; supraventricular runs"),
    Stretch("afpdb", "p42", 100, 60, "saturated on both leads, then asystole and bradycardia"),
)
#: The same of scripted patients, which need no records.
SCRIPTED: Final = (
    Stretch("scripts", "arrest", 30, 75, "R on T, tachycardia, fibrillation, fine fibrillation, asystole"),
    Stretch("scripts", "vt", 60, 70, "a triplet, a salvo, R on T, a tachycardia that ends"),
    Stretch("scripts", "restless", 0, 60, "noise of all kinds"),
)
#: For what training is given: a beat is searched for and its lead changes before it is found.
SEARCHED: Final = (
    Stretch("cinc2015", "a735l", 0, 100, "one of all beats of 100 s"),
    Stretch("cinc2015", "v727l", 0, 300, "one, whose rhythm 22 others are read with"),
)
MS: Final = 250  # of signal in a frame
LATE_MS: Final = 400  # a beat found later than this was searched for
FOLLOWED: Final = 60  # frames after a crash that are compared: 15 s
SILENCE_S: Final = 6.0  # without a beat and without an open alarm: asystole (4 s), unmonitored (2 s), a margin

OF_SILENCE: Final = ("asystole", "pause", "unmonitored", "ventricular_fibrillation")
MOST: Final = 60  # strips of a source that are asked for silence

each = pytest.mark.parametrize(
    "stretch",
    [*SCRIPTED, *(pytest.param(stretch, marks=pytest.mark.data) for stretch in STRETCHES)],
    ids=lambda s: f"{s.database}-{s.record}",
)


@functools.cache
def recorded(stretch: Stretch) -> Record:
    try:
        if stretch.database == "scripts":
            record = script.load(stretch.record).record
        else:
            record = read_record(find_records(data_dirs(), [stretch.record], stretch.database)[0])
    except RecordError:
        pytest.skip(f"no record {stretch.record} of {stretch.database} in any data folder")
    first = stretch.first_s * record.rate_mHz // 1000
    samples = record.samples[first : first + stretch.seconds * record.rate_mHz // 1000]
    return dataclasses.replace(record, samples=samples)


def framed(record: Record, ms: float = MS) -> list[Frame]:
    return cut(record, [max(int(record.rate_mHz * ms / 1_000_000), 1)])


@functools.cache
def played(stretch: Stretch) -> list[Output]:
    """What the ward says after each frame."""
    return [after([frame], ward) for ward in [Ward(reader())] for frame in framed(recorded(stretch))]


def after(frames: Sequence[Frame], ward: Ward) -> Output:
    ward.detect(frames)
    return ward.judge()


def all_of(outputs: Sequence[Output]) -> tuple[list[Beat], list[Alert]]:
    beats = [beat for output in outputs for batch in output.batches for beat in batch.beats]
    return beats, [alert for output in outputs for alert in output.alerts]


def last_words(outputs: Sequence[Output]) -> list[Revision]:
    return [revision for output in outputs for batch in output.batches for revision in batch.revisions]


def whole(stretch: Stretch) -> Said:
    said = Said()
    for output in played(stretch):
        said.add(output)
    return said


@each
def test_neither_frames_nor_calls_matter(stretch: Stretch) -> None:
    random = np.random.default_rng(stretch.first_s)
    record = recorded(stretch)
    for most in (record.rate_mHz // 1000, 40):
        frames = cut(record, random.integers(1, most + 1, 40).tolist())
        groups = []
        while frames:
            count = int(random.integers(1, 7))
            groups.append(frames[:count])
            frames = frames[count:]
        assert through(groups).of("bed") == whole(stretch).of("bed")


def crash_points(stretch: Stretch) -> list[int]:
    """Frames before which a crash costs most: open alarms, beats found but not read, peaks not yet found."""
    record, outputs = recorded(stretch), played(stretch)
    random = np.random.default_rng(stretch.first_s)
    beats, alerts = all_of(outputs)
    hz = record.rate_mHz / 1000
    moments = [(alert.decided_sample / hz, 0.1) for alert in alerts]
    moments += [(alert.decided_sample / hz, -0.3) for alert in alerts]
    for beat in beats:
        if beat.found_ms > LATE_MS:
            moments += [(beat.sample / hz, beat.found_ms / 2000), (beat.sample / hz, beat.found_ms / 1000 + 0.05)]
    for beat in random.permutation(np.array([beat.sample / hz for beat in beats]))[:4]:
        moments += [(beat, 0.1), (beat, 0.25)]
    at = {int((moment + more) * 1000 / MS) + 1 for moment, more in moments}
    points = sorted({*at, *random.integers(1, len(outputs), 4).tolist()} & set(range(1, len(outputs))))
    return points[:: max(len(points) // 40, 1)]


@each
def test_a_crash_changes_nothing(stretch: Stretch) -> None:
    """Another worker, which knew the bed at another time, goes on from the snapshot: the same outputs and state."""
    frames, outputs, points = framed(recorded(stretch)), played(stretch), crash_points(stretch)
    assert len(points) >= 8
    first = Ward(reader())
    kept = []
    for frame in frames:
        kept.append(first.snapshot("bed") if "bed" in first.beds else b"")
        after([frame], first)
    kept.append(first.snapshot("bed"))
    second = Ward(reader())
    after(frames[:8], second)
    for point in points:
        second.restore("bed", kept[point])
        assert second.snapshot("bed") == kept[point]
        end = min(point + FOLLOWED, len(frames))
        for number in range(point, end):
            assert after([frames[number]], second) == outputs[number], number
        assert second.snapshot("bed") == kept[end]


@each
def test_what_is_said_needs_nothing_later(stretch: Stretch) -> None:
    """Whatever comes after a decision, also within its own frame, the decision was the same."""
    record = recorded(stretch)
    hz = record.rate_mHz / 1000
    random = np.random.default_rng(stretch.first_s)
    near = 2 + hz / 250  # samples that a tick needs beyond the one that names it
    beats, alerts = all_of(played(stretch))
    revisions = last_words(played(stretch))
    moments = [alert.decided_sample for alert in alerts]
    moments += [
        int(word.sample + word.known_ms * hz / 1000)
        for words in (beats, revisions)
        for word in random.permutation(np.array(words, object))[:3]
    ]
    for moment in random.permutation(np.array(moments))[:10]:
        changed = record.samples.copy()
        first = int(moment + near) + 1
        changed[first:] = random.integers(-3000, 3000, changed[first:].shape)
        some = [
            after([f], ward)
            for ward in [Ward(reader())]
            for f in framed(dataclasses.replace(record, samples=changed), 999)
        ]
        other_beats, other_alerts = all_of(some)
        assert decided(other_alerts, int(moment)) == decided(alerts, int(moment))
        assert known(other_beats, int(moment), hz) == known(beats, int(moment), hz)
        assert known(last_words(some), int(moment), hz) == known(revisions, int(moment), hz)


def decided(alerts: Sequence[Alert], moment: int) -> list[Alert]:
    return [alert for alert in alerts if alert.state == "raised" and alert.decided_sample <= moment]


def known(words: Sequence[Beat | Revision], moment: int, hz: float) -> list[Beat | Revision]:
    return [word for word in words if word.sample + word.known_ms * hz / 1000 <= moment]


@each
def test_what_is_known_is_said_at_once(stretch: Stretch) -> None:
    """In the frame that holds the moment of the decision, not in a later one: delays told are true."""
    record = recorded(stretch)
    hz = record.rate_mHz / 1000
    near = 3 + hz / 125  # samples: two ticks, and the rounding of a tick to a sample
    ward = Ward(reader())
    for frame in framed(record, 40):
        first, last = frame.first_sample, frame.first_sample + frame.instants
        output = after([frame], ward)
        beats, alerts = all_of([output])
        for alert in alerts:
            if alert.state == "raised":
                assert first - near <= alert.decided_sample <= last + near, alert
        words: list[Beat | Revision] = [*beats, *last_words([output])]
        for word in words:
            assert first - near <= word.sample + word.known_ms * hz / 1000 <= last + near, word


@each
def test_the_queues_hold_whatever_comes(stretch: Stretch) -> None:
    """However many frames come at once, the queues hold what they are made for and nothing is lost."""
    ward = Ward(reader())
    frames = framed(recorded(stretch), 997)
    size = 0
    for first in range(0, len(frames), 5):
        for frame in frames[first : first + 5]:
            ward.detect([frame])
            row = ward._table[ward._rows["bed"]]
            assert row["detector"]["n_epochs"] <= EPOCH_QUEUE
            assert row["detector"]["n_peaks"] <= BEAT_QUEUE
            assert row["n_pending"] <= BEAT_QUEUE
        ward.judge()
        size = size or len(ward.snapshot("bed"))
        assert len(ward.snapshot("bed")) == size


@each
def test_it_is_never_silent(stretch: Stretch) -> None:
    """At every moment there has been a beat within a few seconds, or an alarm is open that says why not."""
    speaks(recorded(stretch), played(stretch))


def test_it_is_not_silent_when_a_heart_stops() -> None:
    """The simplest of all: nothing but the alarms of missing beats speaks here."""
    text = 'patient "stops"  rate 250 Hz  leads II V1  seed 4\nsinus 70 for 20 s\nasystole for 15 s\nsinus 70 for 10 s'
    record = script.load(text).record
    ward = Ward(reader())
    speaks(record, [after([frame], ward) for frame in framed(record)])


@each_source
def test_it_is_never_silent_on_any_record(source: str, request: pytest.FixtureRequest) -> None:
    every = request.config.getoption("--every-record")
    for strip in strips(source, every=every, most=None if every else MOST):
        leads = tuple(f"LEAD_{number}" for number in range(strip.samples.shape[1]))
        units = tuple(strip.mv_per_bit.tolist())
        record = Record(strip.name, round(strip.rate_hz * 1000), leads, units, strip.samples)
        ward = Ward(reader())
        speaks(record, [after([frame], ward) for frame in framed(record, 900)])


def speaks(record: Record, outputs: Sequence[Output]) -> None:
    """No moment without a beat, or an alarm that tells of their want, for longer than `SILENCE_S`."""
    hz = record.rate_mHz / 1000
    beats, alerts = all_of(outputs)
    told = np.zeros(int(len(record.samples) / hz * 10) + 1, np.bool_)  # tenths of a second
    more = int(SILENCE_S * 10)
    told[:more] = True
    for beat in beats:
        told[tenths(beat.sample, hz) : tenths(beat.sample, hz) + more] = True
    ends = {alert.id: alert.cleared_sample for alert in alerts if alert.state == "cleared"}
    for alert in alerts:
        if alert.rule in OF_SILENCE:
            end = ends.get(alert.id)
            told[tenths(alert.decided_sample, hz) : len(told) if end is None else tenths(end, hz) + more] = True
    assert told.all(), (record.name, np.flatnonzero(~told) / 10)


def tenths(sample: int, hz: float) -> int:
    return int(sample / hz * 10)


@pytest.mark.parametrize(
    "stretch",
    [*SCRIPTED, *(pytest.param(stretch, marks=pytest.mark.data) for stretch in (*STRETCHES, *SEARCHED))],
    ids=lambda s: f"{s.database}-{s.record}-{s.first_s}",
)
def test_training_hears_what_the_bedside_hears(stretch: Stretch) -> None:
    """The sentences that train, read by the network, give the bedside's beats, classes and probabilities."""
    record = recorded(stretch)
    found, texts, values, levels = dataset.sentences_of(Strip.of(record))
    weights = reader().weights
    words = np.empty((len(found), LEADS + FIELDS), np.int64)
    for said, text, level in zip(words, texts, levels, strict=True):
        spell(weights.vocabulary, text, level, said)
    follows = np.isfinite(values[:, RR])
    both = classify_sequence(weights.layers, words, follows)
    ward = Ward(reader())
    outputs = [after([frame], ward) for frame in framed(held(record))]
    beats = all_of(outputs)[0]
    assert [(int(sample), *best(row)) for sample, row in zip(found, both.first, strict=True)] == [
        (beat.sample, beat.label, beat.probability) for beat in beats
    ]
    assert [
        (int(sample), *best(row)) for sample, row, on in zip(found, both.last, follows[1:], strict=False) if on
    ] == [(revision.sample, revision.label, revision.probability) for revision in last_words(outputs)]


def best(probabilities: Any) -> tuple[str, float]:
    label = int(np.argmax(probabilities))
    return CLASSES[label], round(float(probabilities[label]), 4)
