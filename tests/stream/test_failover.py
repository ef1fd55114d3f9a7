"""Other leads are read while those usually read give no signal, by their properties."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detector.leads import choose
from replay.records import Record
from replay.script import load
from stream import failover
from stream.bed import BED
from stream.failover import GONE_S, PROBATION_S, RETURN_LATEST_S, RETURN_S
from stream.frames import INVALID, Frame
from stream.ward import Ward
from stream.wire import Alert, Rule
from tests.stream.wards import Said, cut, reader, through

RATE = 250
HEAD = f'patient "p" rate {RATE} Hz leads I II V5 V2 seed 3\n'
OWN = ("II", "V5")
LATE_S = 12.0  # for ten beats, and an epoch of calm
RAIL = 5000  # of the scripts' converter, in steps
Samples = npt.NDArray[np.int16]


def play(course: str, change: Callable[[Samples], None] | None = None) -> Record:
    record = load(HEAD + course).record
    samples = record.samples.copy()
    if change is not None:
        change(samples)
    return dataclasses.replace(record, samples=samples)


def off(samples: Samples, leads: tuple[str, ...] = OWN, start: float = 20, stop: float = 60) -> None:
    for lead in leads:
        samples[round(start * RATE) : round(stop * RATE), ("I", "II", "V5", "V2").index(lead)] = INVALID


def hum(samples: Samples, leads: tuple[str, ...], start: float, stop: float) -> None:
    """What an electrode picks up that is connected to nothing."""
    span = slice(round(start * RATE), round(stop * RATE))
    t = np.arange(len(samples))[span] / RATE
    for lead in leads:
        samples[span, ("I", "II", "V5", "V2").index(lead)] = np.rint(300 * np.sin(2 * np.pi * 49.7 * t))


def told(record: Record, ward: Ward | None = None) -> Said:
    return through([[frame] for frame in cut(record, [50])], ward)


def spans(said: Said, rule: str) -> list[tuple[float, float | None]]:
    """When each alert of a rule was told, and when it ended, s."""
    last: dict[str, Alert] = {alert.id: alert for alert in said.alerts.get("bed", []) if alert.rule == rule}
    return [
        (a.decided_sample / RATE, None if a.cleared_sample is None else a.cleared_sample / RATE) for a in last.values()
    ]


def beats(said: Said, start: float, stop: float) -> int:
    return sum(start <= beat.sample / RATE < stop for beat in said.beats["bed"])


def turns(said: Said) -> int:
    return said.events["leads_replaced"]


@functools.cache
def usual() -> Record:
    """Two leads that go for 40 s of a heart that beats, goes fast, and stands still for a while."""

    def change(samples: Samples) -> None:
        off(samples, start=10.3, stop=52.71)
        hum(samples, ("V2",), 12, 30)
        samples[round(65.2 * RATE) : round(71.9 * RATE), :3] = (RAIL, -RAIL, RAIL)

    return play("sinus 76 for 25 s ; vt 170 for 6 s ; sinus 70 for 8 s ; asystole for 7 s ; sinus 66 for 34 s", change)


@functools.cache
def whole() -> Any:
    return told(usual()).of("bed")


def test_the_usual_case_turns_and_returns() -> None:
    assert turns(told(usual())) >= 3


@given(lengths=st.lists(st.integers(1, 250), min_size=1, max_size=10), size=st.integers(1, 6))
@settings(max_examples=10, deadline=None)
def test_neither_frames_nor_calls_matter(lengths: list[int], size: int) -> None:
    frames = cut(usual(), lengths)
    assert through([frames[i : i + size] for i in range(0, len(frames), size)]).of("bed") == whole()


@given(at=st.integers(50, 390))
@settings(max_examples=10, deadline=None)
def test_a_crash_changes_nothing(at: int) -> None:
    frames = cut(usual(), [50])
    first, second = Ward(reader()), Ward(reader())
    said = through([[frame] for frame in frames[:at]], first)
    second.restore("bed", first.snapshot("bed"))
    for frame in frames[at:]:
        second.detect([frame])
        said.add(second.judge())
    assert said.of("bed") == whole()


@pytest.mark.parametrize("lost", [(), ("II",), ("V5",), ("I", "V2")])
def test_while_a_lead_usually_read_gives_a_signal_others_do_not_matter(lost: tuple[str, ...]) -> None:
    record = play("sinus 72 for 20 s ; vt 170 for 6 s ; sinus 70 for 30 s", lambda s: off(s, lost, 5, 45))
    own = [1, 2]
    alone = dataclasses.replace(
        record,
        leads=tuple(record.leads[i] for i in own),
        units_per_bit=tuple(record.units_per_bit[i] for i in own),
        samples=np.ascontiguousarray(record.samples[:, own]),
    )
    assert told(record).of("bed") == told(alone).of("bed")


@pytest.mark.parametrize("how", ["off", "railed", "one of each", "loose"])
def test_beats_go_on_in_other_leads(how: str) -> None:
    def change(samples: Samples) -> None:
        off(samples, OWN if how != "one of each" else ("V5",))
        span = slice(20 * RATE, 60 * RATE)
        if how == "railed":
            samples[span, 1:3] = (RAIL, -RAIL)
        elif how == "one of each":
            samples[span, 1] = RAIL
        elif how == "loose":
            samples[span, 1][::25] = 7

    said = told(play("sinus 72 for 100 s", change))
    assert turns(said) == 2
    assert beats(said, 25, 60) >= 35 * 72 / 60 - 3
    standing = {"off": {"lead_off"}, "railed": {"saturated"}, "loose": {"lead_off"}}.get(how, {"lead_off", "saturated"})
    for rule in ("lead_off", "saturated", "flat_line", "noisy"):
        alerts = spans(said, rule)
        if rule in standing:
            ((begin, end),) = alerts
            assert 20 < begin <= 20 + GONE_S + 0.2
            assert end == 60 + RETURN_S
        else:
            assert alerts == []
    ((begin, end),) = spans(said, "unmonitored")
    assert 20 < begin < 23
    assert end is not None
    assert end < 20 + GONE_S + LATE_S
    assert spans(said, "asystole") == []


def test_a_lead_is_told_off_though_its_limit_is_longer_than_others_wait() -> None:
    from stream.limits import Limits

    said = told(play("sinus 72 for 60 s", lambda s: off(s, stop=60)), Ward(reader(), Limits(lead_off_s=30)))
    ((begin, end),) = spans(said, "lead_off")
    assert begin == 20 + GONE_S
    assert end is None


def test_hum_ends_no_alert_of_a_bed_that_nobody_watches() -> None:
    def change(samples: Samples) -> None:
        off(samples, start=20, stop=180)
        hum(samples, ("I", "V2"), 20, 180)

    said = told(play("sinus 72 for 180 s", change))
    assert [end for _, end in spans(said, "unmonitored")] == [None]
    assert spans(said, "asystole") == []
    assert spans(said, "pause") == []
    assert turns(said) <= 160 / PROBATION_S + 1


def test_a_usual_lead_that_is_back_is_read_at_once_if_others_showed_nothing() -> None:
    def change(samples: Samples) -> None:
        off(samples, ("II",), 20, 60)
        off(samples, ("V5",), 20, 100)
        hum(samples, ("I", "V2"), 20, 100)

    said = told(play("sinus 72 for 100 s", change))
    assert turns(said) == 2
    assert [end for _, end in spans(said, "lead_off")] == [None], "V5 is off all the while"
    ((_, end),) = spans(said, "unmonitored")
    assert end is not None
    assert 60 + GONE_S < end < 60 + GONE_S + 2


def test_others_that_show_no_beats_make_room() -> None:
    def change(samples: Samples) -> None:
        off(samples, ("II", "V5"), 20, 120)
        hum(samples, ("V2",), 20, 120)
        samples[20 * RATE : 45 * RATE, 0] = INVALID  # comes later

    said = told(play("sinus 72 for 120 s", change))
    ((begin, end),) = spans(said, "unmonitored")
    assert begin < 23
    assert end is not None
    assert 45 < end < 45 + GONE_S + PROBATION_S + LATE_S


def test_a_heart_is_heard_beside_hum() -> None:
    def change(samples: Samples) -> None:
        off(samples)
        hum(samples, ("V2",), 20, 60)

    said = told(play("sinus 72 for 60 s", change))
    ((_, end),) = spans(said, "unmonitored")
    assert end is not None
    assert end < 20 + GONE_S + PROBATION_S + LATE_S


def test_a_lead_that_shows_itself_for_a_moment_keeps_no_others_from_showing_beats() -> None:
    def change(samples: Samples) -> None:
        whole = samples[:, 1].copy()
        off(samples)
        for second in range(25, 60, 5):
            span = slice(second * RATE, (second + 2) * RATE)
            samples[span, 1] = whole[span]

    said = told(play("sinus 72 for 60 s", change))
    assert turns(said) == 1
    ((_, end),) = spans(said, "unmonitored")
    assert end is not None
    assert end < 20 + GONE_S + LATE_S


@pytest.mark.parametrize("course", ["asystole for 12 s", "vf for 14 s", "vt 180 for 10 s"])
def test_alarms_are_told_of_other_leads(course: str) -> None:
    rule = {"as": "asystole", "vf": "ventricular_fibrillation", "vt": "ventricular_tachycardia"}[course[:2]]
    record = play(f"sinus 72 for 40 s ; {course} ; sinus 70 for 40 s", lambda s: off(s, start=20, stop=90))
    assert turns(told(record)) == 1
    ((begin, end),) = spans(told(record), rule)
    plain = load(HEAD + f"sinus 72 for 40 s ; {course} ; sinus 70 for 40 s").record
    ((other, _),) = spans(told(plain), rule)
    assert abs(begin - other) < 2.0
    assert end is not None


@pytest.mark.parametrize("course", ["vf for 40 s", "vt 180 for 40 s", "asystole for 40 s"])
def test_a_bed_whose_heart_fails_before_others_show_beats_is_told_to_be_unmonitored(course: str) -> None:
    said = told(play(f"sinus 72 for 20 s ; {course} ; sinus 70 for 40 s", lambda s: off(s, start=19, stop=62)))
    if course.startswith("vt"):  # its beats are sure, too; what is usual for the patient is not known yet
        assert spans(said, "extreme_tachycardia")[0][0] < 19 + GONE_S + LATE_S
    else:
        ((begin, end),) = spans(said, "unmonitored")
        assert begin < 22
        assert end is None or end > 60


NOISE: dict[str, Callable[[npt.NDArray[np.float64]], npt.NDArray[np.float64]]] = {
    "hum": lambda t: np.sin(2 * np.pi * 60.1 * t),
    "clipped hum": lambda t: np.clip(4 * np.sin(2 * np.pi * 50 * t), -1, 1),
    "hum that swells": lambda t: np.sin(2 * np.pi * 50 * t) * (1 + 0.8 * np.sin(2 * np.pi * 1.3 * t)),
    "breath": lambda t: np.sin(2 * np.pi * 0.25 * t),
    "white": lambda t: np.random.default_rng(1).normal(0.0, 0.5, len(t)),
}


@pytest.mark.parametrize("mv", [0.05, 0.3, 1.0])
@pytest.mark.parametrize("kind", NOISE)
def test_noise_in_other_leads_is_no_heart(kind: str, mv: float) -> None:
    """Neither is the bed monitored then, nor is anything told of a heart."""

    def change(samples: Samples) -> None:
        off(samples, start=20, stop=100)
        noise = NOISE[kind](np.arange(80 * RATE) / RATE)
        samples[20 * RATE :, [0, 3]] = np.rint(noise * mv * 1000)[:, None]

    said = told(play("sinus 72 for 100 s", change))
    assert [end for _, end in spans(said, "unmonitored")] == [None]
    for rule in Rule:
        assert rule >= Rule.LEAD_OFF or spans(said, rule.label) == []


def test_a_slow_heart_has_time_to_show_its_beats() -> None:
    said = told(play("junctional 32 for 120 s", lambda s: off(s, start=20, stop=100)))
    ends = [end for _, end in spans(said, "unmonitored")]
    assert len(ends) == 1
    assert ends[0] is not None
    assert ends[0] < 20 + GONE_S + PROBATION_S + 2
    assert any(end is None or end > 90 for _, end in spans(said, "extreme_bradycardia"))


@pytest.mark.parametrize("leads", [OWN, ("I", "II", "V5", "V2")])
def test_a_short_loss_changes_no_leads(leads: tuple[str, ...]) -> None:
    assert not turns(told(play("sinus 72 for 40 s", lambda s: off(s, leads, 20, 22.8))))


def test_without_a_lead_that_shows_anything_the_bed_stays_as_it_is() -> None:
    def change(samples: Samples) -> None:
        off(samples)
        samples[20 * RATE : 60 * RATE, [0, 3]] = (0, 700)

    said = told(play("sinus 72 for 60 s", change))
    assert not turns(said)
    assert [end for _, end in spans(said, "unmonitored")] == [None]


def test_leads_that_stand_still_are_those_of_a_heart_that_does() -> None:
    def change(samples: Samples) -> None:
        samples[20 * RATE :, 1:3] = (0, -500)
        hum(samples, ("I", "V2"), 20, 60)

    said = told(play("sinus 72 for 60 s", change))
    assert not turns(said)
    assert len(spans(said, "asystole")) == 1


def test_samples_that_never_came_tell_nothing_of_electrodes() -> None:
    frames = cut(play("sinus 72 for 60 s"), [50])
    assert not turns(through([[frame] for frame in frames[:100] + frames[150:]]))


def test_each_lead_has_its_own_step() -> None:
    record = play("sinus 72 for 70 s", off)
    finer = dataclasses.replace(
        record,
        samples=np.where(record.samples == INVALID, INVALID, record.samples * np.array([4, 1, 1, 2], np.int16)),
        units_per_bit=tuple(np.array(record.units_per_bit) / (4, 1, 1, 2)),
    )
    assert told(record).of("bed") == told(finer).of("bed")


@pytest.mark.parametrize(("seconds", "latest"), [(40, 100), (90, 60 + RETURN_LATEST_S)])
def test_the_usual_leads_wait_for_a_heart_that_alarms_but_not_for_ever(seconds: float, latest: float) -> None:
    """A signal that begins anew would hide what it does, or end what is told."""
    said = told(play(f"sinus 72 for 50 s ; svt 170 for {seconds} s ; sinus 72 for 40 s", off))
    assert turns(said) == 2
    ((_, end),) = spans(said, "lead_off")
    assert end is not None
    assert (85 if seconds == 40 else 60 + RETURN_LATEST_S - 1) < end <= latest + 10


def test_a_device_that_begins_anew_is_read_in_its_usual_leads() -> None:
    frames = cut(play("sinus 72 for 40 s", lambda s: off(s, stop=40)), [50])
    again = [
        msgspec.structs.replace(frame, device_time_us=frame.device_time_us + 100_000_000)
        for frame in cut(play("sinus 72 for 40 s"), [50])
    ]
    ward = Ward(reader())
    said = through([[frame] for frame in frames + again], ward)
    place = ward._table[0]
    assert tuple(place["intake"]["column"]) == choose(frames[0].leads)
    assert not place["rules"]["kept"].any()
    assert all(end is not None for rule in ("lead_off", "unmonitored") for _, end in spans(said, rule))
    assert turns(said) == 1


def test_a_pause_of_the_clock_leaves_the_leads_and_their_alert_as_they_are() -> None:
    frames = cut(play("sinus 72 for 80 s", off), [50])
    later = [msgspec.structs.replace(f, device_time_us=f.device_time_us + 5_000_000) for f in frames[200:]]
    said = through([[frame] for frame in frames[:200] + later])
    assert turns(said) == 2
    assert [end for _, end in spans(said, "lead_off")] == [60 + RETURN_S]


def test_a_bug_while_others_are_read_is_survived(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise ZeroDivisionError

    frames = cut(play("sinus 72 for 120 s", lambda s: off(s, stop=110)), [50])
    ward = Ward(reader())
    said = through([[frame] for frame in frames[:200]], ward)
    with monkeypatch.context() as patch:
        patch.setattr(failover, "watch", fail)
        ward.detect(frames[200:201])
        said.add(ward.judge())
    for frame in frames[201:]:
        ward.detect([frame])
        said.add(ward.judge())
    assert said.faults == ["bed"]
    assert beats(said, 55, 105) >= 50 * 72 / 60 - 3
    assert [end is None for _, end in spans(said, "lead_off")] == [False, False]


@given(
    st.lists(st.tuples(st.sampled_from(("I", "II", "V5", "V2")), st.integers(0, 110), st.integers(1, 30)), max_size=12),
    st.sampled_from(("sinus 72", "svt 150", "af 90")),
)
@settings(max_examples=15, deadline=None)
def test_nobody_is_left_without_leads_and_without_an_alert(lost: list[tuple[str, int, int]], rhythm: str) -> None:
    """Wherever no beat is told for long, the bed is told to be unmonitored, or the heart to stand still."""

    def change(samples: Samples) -> None:
        for lead, start, seconds in lost:
            off(samples, (lead,), start, start + seconds)

    said = told(play(f"{rhythm} for 120 s", change))
    alarms = [span for rule in ("unmonitored", "asystole") for span in spans(said, rule)]
    times = [0.0, *(beat.sample / RATE for beat in said.beats.get("bed", [])), 120.0]
    for before, after in pairwise(times):
        if after - before > 6.0:
            assert any(begin <= before + 6.0 and (end is None or end >= after - 0.5) for begin, end in alarms)


def frame_of(samples: Samples, leads: tuple[str, ...], first: int = 0) -> Frame:
    return Frame("bed", 0, first, 0, 0, 250_000, leads, (0.001,) * len(leads), samples.astype("<i2").tobytes())


@given(first=st.integers(0, 2000), instants=st.integers(1, 250), skip=st.integers(0, 300), many=st.booleans())
def test_stretches_are_all_that_is_new_cut_where_seconds_end(first: int, instants: int, skip: int, many: bool) -> None:
    leads = ("a", "b", "c") if many else ("a", "b")
    parts = list(failover.stretches(frame_of(np.zeros((instants, len(leads)), np.int16), leads, first), skip))
    assert [i for begin, end in parts for i in range(begin, end)] == list(range(skip, instants))
    assert all(begin < end for begin, end in parts)
    inner = [end for _, end in parts[:-1]]
    assert inner == ([i for i in range(skip + 1, instants) if (first + i) % 250 == 0] if many else [])


def test_seconds_are_counted_anew_after_samples_that_never_came() -> None:
    frames = cut(play("sinus 72 for 60 s", lambda s: off(s, stop=60)), [50])
    said = through([[frame] for frame in frames[:110] + frames[135:]])  # 22 to 27 s
    ((begin, _),) = spans(said, "relearning")
    assert begin == 27 + GONE_S


LEADS_OF_THREE = ("MDC_ECG_LEAD_I", "MDC_ECG_LEAD_II", "MDC_ECG_LEAD_V5")


def test_other_leads_than_before_are_counted_anew() -> None:
    """Those of before may have been other electrodes; their begun second is none either."""
    bed = np.zeros(1, BED)[0]
    bed["intake"]["leads"] = ",".join(LEADS_OF_THREE).encode()
    failover.read_own(bed)
    second = np.full((250, 3), INVALID, np.int16)
    second[:, 0] = np.arange(250)

    def watch(first: int, samples: Samples) -> bool:
        return failover.watch(bed["intake"], frame_of(samples, LEADS_OF_THREE, first), 0, len(samples))

    assert [watch(250 * i, second) for i in range(4)] == [False, False, True, True]
    assert not watch(1000, second[:125])
    failover.read_own(bed)
    assert [watch(1125, second[125:]), *(watch(1250 + 250 * i, second) for i in range(3))] == [False] * 3 + [True]


def of_five() -> tuple[Any, tuple[str, ...]]:
    """A bed whose own leads, the first two of five, others stand for."""
    bed = np.zeros(1, BED)[0]
    leads = ("MDC_ECG_LEAD_II", "MDC_ECG_LEAD_V5", "a", "b", "c")
    bed["intake"]["leads"] = ",".join(leads).encode()
    failover.read_own(bed)
    failover.turn(bed, leads, (2, 3))
    return bed, leads


def test_others_are_tried_in_turn_over_and_over() -> None:
    bed, leads = of_five()
    seen = bed["intake"]["watch"]
    seen["alive"][2:5] = GONE_S
    found = []
    for _ in range(6):
        seen["turned"] = PROBATION_S
        found.append(failover.due(bed, leads))
        if (column := found[-1]) is not None:
            failover.turn(bed, leads, column)
    assert found == [(4, 0), None, (2, 3), None, (4, 0), None]  # None: all have been


@pytest.mark.parametrize("rule", [None, Rule.ASYSTOLE, Rule.PAUSE, Rule.LEAD_OFF])
@pytest.mark.parametrize("run", [0, 1])
def test_the_usual_leads_wait_for_a_calm_heart(rule: Rule | None, run: int) -> None:
    bed, leads = of_five()
    bed["rules"]["unproven"] = 0
    bed["rules"]["run"] = run
    if rule is not None:
        bed["rules"]["rule"][rule]["active"] = 1
    alive = bed["intake"]["watch"]["alive"]
    alive[:2] = (RETURN_S, RETURN_S - 1)
    assert failover.due(bed, leads) is None
    alive[:2] = RETURN_S
    calm = run == 0 and rule in (None, Rule.LEAD_OFF)
    assert failover.due(bed, leads) == ((0, 1) if calm else None)
    alive[:2] = RETURN_LATEST_S
    assert failover.due(bed, leads) == (0, 1)


def test_after_a_proof_all_leads_are_worth_a_try_again() -> None:
    bed = np.zeros(1, BED)[0]
    bed["intake"]["leads"] = ",".join(LEADS_OF_THREE).encode()
    failover.read_own(bed)
    failover.turn(bed, LEADS_OF_THREE, (0, 1))
    seen = bed["intake"]["watch"]
    failover.due(bed, LEADS_OF_THREE)
    assert (seen["tried"], seen["proven"]) == (0b11, 0)
    bed["rules"]["unproven"] = 0
    failover.due(bed, LEADS_OF_THREE)
    assert (seen["tried"], seen["proven"]) == (0, 1)


@given(st.lists(st.lists(st.sampled_from([INVALID, -5, 0, 7]), min_size=3, max_size=3), min_size=1, max_size=20))
def test_readings_are_counted_as_plain_arrays_count_them(rows: list[list[int]]) -> None:
    samples = np.array(rows, np.int16)
    readings, low, high = np.zeros(12, np.int64), np.full(12, -INVALID), np.full(12, INVALID)
    failover.count(readings, low, high, samples, 1, len(samples))
    part = np.ma.masked_equal(samples[1:].astype(np.int64), INVALID)
    assert readings[:3].tolist() == part.count(axis=0).tolist()
    for lead in range(3):
        if readings[lead]:
            assert (low[lead], high[lead]) == (part[:, lead].min(), part[:, lead].max())
    assert not readings[3:].any()


def test_every_alert_that_is_kept_names_leads() -> None:
    bed = np.zeros(1, BED)[0]
    leads = LEADS_OF_THREE
    bed["intake"]["leads"] = ",".join(leads).encode()
    failover.read_own(bed)
    assert tuple(bed["intake"]["column"]) == (1, 2)
    bed["intake"]["watch"]["off"][[1]] = 1
    assert failover.turn(bed, leads, (0, 1)) == {Rule.LEAD_OFF: 1, Rule.SATURATED: 2}
    assert bed["rules"]["unproven"]
    bed["intake"]["watch"]["off"][2] = 1
    assert failover.turn(bed, leads, (0, 2)) == {Rule.LEAD_OFF: 1, Rule.SATURATED: 2}, "as they were left"
    bed["intake"]["watch"]["off"][2] = 0
    assert failover.turn(bed, leads, (1, 2)) == {Rule.LEAD_OFF: 1}, "it is off yet"
    assert not bed["rules"]["unproven"]
    assert not bed["rules"]["kept"].any()
