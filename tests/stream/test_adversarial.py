"""The ward against frames that a broken, hostile or merely odd device may send: each within the bounds of
`frames.check`, together in any order. Nothing may stop the ward, and what it says must stay well formed."""

from __future__ import annotations

import functools
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from model.reader import Reader
from stream import annotate, bed, conditions, consumer, frames, rhythm
from stream.annotations import write_alerts
from stream.collector import Output
from stream.errors import FrameError, RecordError
from stream.frames import INVALID, Frame, check
from stream.limits import Limits
from stream.ward import Ward
from stream.wire import Alert, Rule, alert_id, decode_alert, encode_alert
from tests.stream.frames_of import DEEP

LAST = 2**53 - 1  # greatest index and time a frame can carry
START_US = 1_700_000_000_000_000
DEVICES = (("MDC_ECG_LEAD_II",), ("MDC_ECG_LEAD_II", "MDC_ECG_LEAD_V1"), tuple(f"LEAD_{i}" for i in range(12)))
RATES = (100_000, 100_001, 128_000, 249_999, 250_000, 250_001, 360_000, 1_000_000)
replace = msgspec.structs.replace


@functools.cache
def reader() -> Reader:
    return Reader.load()


def beating(first: int, instants: int, rate_mHz: int, bpm: float = 75.0) -> np.ndarray:
    """QRS complexes of 1 mV at 0.005 mV a step."""
    phase = ((first % 10**9 + np.arange(instants)) * 1000 / rate_mHz * bpm / 60) % 1
    curve: np.ndarray = np.rint(200 * np.exp(-(((phase - 0.5) * 60 / bpm / 0.012) ** 2))).astype(np.int64)
    return curve


def frame(
    first: int,
    instants: int = 62,
    *,
    name: str = "bed",
    rate_mHz: int = 250_000,
    leads: tuple[str, ...] = DEVICES[1],
    time_us: int | None = None,
    units: float = 0.005,
    values: np.ndarray | int | None = None,
) -> Frame:
    """A frame; by default a beating heart under a clock that agrees with the samples."""
    curve = beating(first, instants, rate_mHz) if values is None else np.broadcast_to(values, instants)
    samples = np.repeat(np.clip(curve, INVALID, 32767)[:, None], len(leads), axis=1).astype("<i2")
    at = START_US + first * 1_000_000_000 // rate_mHz if time_us is None else time_us
    made = Frame(name, 0, first, at, at, rate_mHz, leads, (units,) * len(leads), samples.tobytes())
    check(made)
    return made


def train(first: int, seconds: float, **options: object) -> list[Frame]:
    """Frames of 62 instants at 250 Hz."""
    return [frame(first + 62 * i, **options) for i in range(int(seconds * 250 / 62))]  # type: ignore[arg-type]


def said(ward: Ward, frames: Sequence[Frame]) -> Output:
    ward.detect(frames)
    return ward.judge()


def well_formed(outputs: Sequence[Output]) -> None:
    """Alerts of a rule are raised and cleared in turn, each episode has its own id, and all numbers are numbers."""
    active: dict[tuple[str, str], Alert] = {}
    ids: set[str] = set()
    for output in outputs:
        for alert in output.alerts:
            assert decode_alert(encode_alert(alert)) == alert
            assert np.isfinite(list(alert.evidence.values())).all()
            assert min(alert.evidence.values(), default=0.0) >= 0.0
            assert alert.onset_sample <= alert.decided_sample
            key = (alert.bed, alert.rule)
            if alert.state == "raised":
                assert key not in active, alert
                assert alert.id not in ids, alert
                ids.add(alert.id)
                active[key] = alert
            else:
                raised = active.pop(key)
                assert (raised.id, raised.onset_sample) == (alert.id, alert.onset_sample)
                assert alert.cleared_sample is not None
                assert alert.onset_sample <= alert.cleared_sample
        for batch in output.batches:
            for beat in batch.beats:
                assert beat.sample >= 0
                assert 0.0 <= beat.probability <= 1.0
                assert beat.rr_ms >= 0.0
                assert 0.0 < beat.found_ms <= beat.known_ms
                assert beat.known_ms >= 300.0
            assert all(mark.sample >= 0 for mark in batch.marks)


STEPS = st.lists(
    st.tuples(
        st.sampled_from(
            ["on"] * 6 + ["again", "skip", "back", "zero", "clock", "rate", "leads", "units", "silence", "crash"]
        ),
        st.integers(0, 2**31),
        st.sampled_from(["beats", "noise", "rail", "none", "holes", "square"]),
        st.integers(1, 12),
    ),
    min_size=1,
    max_size=12,
)
SKIPS = (1, 7_500, 7_501, 30_000, 10**6, 10**15)  # 7,500 is 30 s at 250 Hz
STARTS = st.sampled_from([0, 1, 10**9, LAST - 10**5])


@given(steps=STEPS, start=STARTS, time_us=st.sampled_from([0, START_US, LAST - 10**9]), beds=st.integers(1, 3))
@settings(max_examples=25, deadline=None)
def test_no_order_of_frames_stops_the_ward(
    steps: list[tuple[str, int, str, int]], start: int, time_us: int, beds: int
) -> None:
    ward = Ward(reader())
    outputs = []
    first, rate, units = start, 250_000, 0.005
    leads: tuple[str, ...] = DEVICES[1]
    last: Frame | None = None
    for step, seed, kind, count in steps:
        random = np.random.default_rng(seed)
        if step == "again" and last is not None:
            outputs.append(said(ward, [last] * count))
        elif step == "skip":
            first += SKIPS[seed % len(SKIPS)]
        elif step == "back":
            first = max(0, first - seed % 500)
        elif step == "zero":
            first = 0
        elif step == "clock":
            time_us = max(0, time_us + (-(10**7), 2 * 10**6, 10**9)[seed % 3])
        elif step == "rate":
            rate = RATES[seed % len(RATES)]
        elif step == "leads":
            leads = DEVICES[seed % len(DEVICES)]
        elif step == "units":
            units = (1e-7, 0.005, 1.0)[seed % 3]
        elif step == "silence":
            outputs.append(ward.silence("bed-0", 2 * START_US))
        elif step == "crash":
            for name in ward.beds:
                data = ward.snapshot(name)
                if seed % 2:
                    ward = ward if seed % 3 else _moved(ward)
                    ward.forget(name)
                ward.restore(name, data)
        frames = []
        for _ in range(count):
            instants = int(random.choice([1, 2, rate // 1000, int(random.integers(1, rate // 1000 + 1))]))
            curve = {
                "beats": beating(first, instants, rate, float(random.choice([20, 75, 250]))),
                "noise": random.integers(-32767, 32768, instants),
                "rail": np.full(instants, 32767),
                "none": np.full(instants, INVALID),
                "holes": np.where(random.random(instants) < 0.5, INVALID, random.integers(-400, 400, instants)),
                "square": np.where(np.arange(instants) % 40 < 20, 30_000, -30_000),
            }[kind]
            try:
                options = {"rate_mHz": rate, "leads": leads, "units": units, "values": curve}
                last = frame(first, instants, time_us=time_us, name="bed-0", **options)  # type: ignore[arg-type]
            except FrameError:  # past the last index or the last year: the consumer refuses it before the ward
                break
            frames += [replace(last, bed=f"bed-{i}") for i in range(beds)]
            first += instants
            time_us += instants * 1_000_000_000 // rate
        outputs.append(said(ward, frames))
    well_formed(outputs)


def _moved(ward: Ward) -> Ward:
    """Another worker with the same beds."""
    other = Ward(reader())
    for name in ward.beds:
        other.restore(name, ward.snapshot(name))
    return other


def test_a_sample_index_at_the_end_of_all_numbers_is_a_gap() -> None:
    """The clock of such a sample lies thousands of years ahead; the service would meet the frame again and again."""
    ward = Ward(reader())
    outputs = [said(ward, train(0, 5)), said(ward, [frame(LAST - 10, 10, time_us=START_US + 5_000_000)])]
    outputs.append(ward.silence("bed", START_US + 60_000_000))
    well_formed(outputs)
    gap = next(alert for alert in outputs[1].alerts if alert.rule == "signal_gap")
    assert gap.evidence["missing_s"] == pytest.approx(0.04, abs=0.01)  # what the clock says
    assert gap.decided_time.startswith("2023-")


@pytest.mark.parametrize("time_us", [0, LAST])
def test_any_time_a_clock_can_tell_is_written(time_us: int) -> None:
    ward = Ward(reader())
    outputs = [said(ward, [frame(10**6, time_us=time_us, values=INVALID)])]
    outputs += [said(ward, [frame(0, time_us=time_us)]) for _ in range(12)]
    outputs.append(said(ward, [frame(LAST - 62, time_us=0)]))
    well_formed(outputs)


def test_a_device_that_begins_anew_makes_new_alerts() -> None:
    ward = Ward(reader())
    outputs = []
    for start in range(3):
        dead = train(0, 4, values=INVALID)
        outputs += [said(ward, [replace(f, device_time_us=f.device_time_us + start * 10**8)]) for f in dead]
    well_formed(outputs)
    off = [a for output in outputs for a in output.alerts if a.rule == "lead_off" and a.state == "raised"]
    assert [a.onset_sample for a in off] == [0, 0, 0]
    assert off[0].id == alert_id("bed", "lead_off", 0)


def test_silence_ends_where_new_samples_begin() -> None:
    for next_frame in (frame(5 * 62 - 20), frame(0, time_us=START_US + 10**9), frame(5 * 62, rate_mHz=500_000)):
        ward = Ward(reader())
        outputs = [said(ward, [frame(62 * i) for i in range(5)]), ward.silence("bed", 2 * START_US)]
        outputs.append(said(ward, [next_frame]))
        well_formed(outputs)
        cleared = next(a for a in outputs[2].alerts if a.rule == "bed_silent")
        assert cleared.cleared_sample == 5 * 62
        assert cleared.cleared_time == cleared.onset_time


def test_a_gain_switched_at_the_device_changes_nothing() -> None:
    """Half the steps of twice the size are the same millivolts; a gain that is not followed would halve every wave."""
    plain = train(0, 40)
    fine = [
        replace(f, units_per_bit=(0.0025, 0.0025), data=(2 * f.samples).astype("<i2").tobytes()) if i % 60 > 30 else f
        for i, f in enumerate(plain)
    ]
    for size in (1, 7):
        one, other = Ward(reader()), Ward(reader())
        for i in range(0, len(plain), size):
            assert said(one, plain[i : i + size]) == said(other, fine[i : i + size])


def test_a_clock_that_is_set_moves_the_times_and_nothing_else() -> None:
    plain = train(0, 20) + train(20 * 250 // 62 * 62, 10, values=INVALID)
    hour = 3_600_000_000
    moved = [replace(f, device_time_us=f.device_time_us - hour) if f.first_sample > 1000 else f for f in plain]
    one, other = Ward(reader()), Ward(reader())
    a = [alert for f in plain for alert in said(one, [f]).alerts]
    b = [alert for f in moved for alert in said(other, [f]).alerts]
    assert [(x.id, x.decided_sample) for x in a] == [(x.id, x.decided_sample) for x in b]
    assert a
    assert all(x.decided_time[11:13] != y.decided_time[11:13] for x, y in zip(a, b, strict=True))


def test_a_stop_hidden_in_a_gap_is_told_in_full() -> None:
    """The device was away for an hour and lost count of all but a second of it."""
    ward = Ward(reader())
    said(ward, train(0, 10))
    output = said(ward, [frame(2480 + 250, time_us=START_US + 9_920_000 + 3_600_000_000)])
    gap = next(alert for alert in output.alerts if alert.rule == "signal_gap")
    assert gap.evidence["missing_s"] == pytest.approx(3600.0, abs=0.01)
    assert output.events == {"gap": 1}


def test_fibrillation_that_ends_with_its_device_has_its_mark() -> None:
    ward = Ward(reader())
    said(ward, train(0, 5))
    row = ward._table[ward._rows["bed"]]
    out = np.zeros(1, conditions.TRANSITION)
    conditions.raise_(out, 0, row["rules"], int(Rule.VENTRICULAR_FIBRILLATION), 100, 500, 1.0, 3.0, 3.0)
    output = said(ward, [frame(0, time_us=START_US + 10**9)])
    assert [(m.sample, m.symbol) for batch in output.batches for m in batch.marks if m.symbol == "]"] == [(1240, "]")]


@pytest.mark.parametrize("ended", [False, True], ids=["in fibrillation", "before the next beat"])
@pytest.mark.parametrize("then", ["it counts anew", "other leads", "another rate", "its clock jumps"])
def test_after_fibrillation_that_was_cut_short_the_rhythm_is_told_again(then: str, ended: bool) -> None:
    """Of a device swapped after a shock, or of pads put on: nothing but the next beat tells that there is a rhythm."""
    ward = Ward(reader())
    said(ward, train(0, 20))
    row = ward._table[ward._rows["bed"]]
    end = int(row["intake"]["next_sample"])
    transitions, marks = np.zeros(2, conditions.TRANSITION), np.zeros(3, rhythm.MARK)
    fibrillation = int(Rule.VENTRICULAR_FIBRILLATION)
    conditions.raise_(transitions, 0, row["rules"], fibrillation, end - 1000, end - 250, 1.0, 3.0, 3.0)
    rhythm.begin_vf(row["rhythm"], end - 1000, marks, 0)
    if ended:
        conditions.clear(transitions, 1, row["rules"], fibrillation, end)
        rhythm.end_vf(row["rhythm"], end, marks, 2)
    first = 0 if then == "it counts anew" else end
    late_us = (end - first) * 4000 + (60_000_000 if then in ("it counts anew", "its clock jumps") else 0)
    options: dict[str, dict[str, Any]] = {"other leads": {"leads": DEVICES[0]}, "another rate": {"rate_mHz": 250_001}}
    changed = options.get(then, {})
    frames = [frame(at, time_us=START_US + at * 4000 + late_us, **changed) for at in range(first, first + 62 * 60, 62)]
    output = said(ward, frames)
    told = [(m.sample, m.symbol, m.aux) for batch in output.batches for m in batch.marks if m.symbol in "+]"]
    beats = [beat.sample for batch in output.batches for beat in batch.beats if beat.sample >= first]
    assert [mark[1:] for mark in told] == ([] if ended else [("]", "")]) + [("+", "(N")]
    if ended or then in ("it counts anew", "another rate"):
        assert first <= told[-1][0] <= beats[2]
    else:  # its samples count on: only the signal can say that it is over
        assert first + 250 < told[0][0] <= told[1][0] <= first + 10 * 250


def test_todays_limits_hold_after_a_restart() -> None:
    ward = Ward(reader())
    said(ward, train(0, 5))
    other = Ward(reader(), Limits(lead_off_s=0.2, unmonitored_s=0.5))
    other.restore("bed", ward.snapshot("bed"))
    alerts = [a for f in train(1240, 2, values=INVALID) for a in said(other, [f]).alerts]
    assert next(a for a in alerts if a.rule == "unmonitored").evidence["limit_s"] == 0.5


def test_no_message_stops_the_one_who_reads_it() -> None:
    """Fields a frame does not have are passed over, and lists in lists would take the decoder too deep."""
    good = frames.encode(frame(0))
    body = bytes([good[6] + 1]) + good[7:] + DEEP
    message = consumer.read(0, 0, b"bed", good[:2] + zlib.crc32(body).to_bytes(4, "little") + body)
    assert message.error is not None
    assert message.error.reason == "schema"
    one_more = bytes([good[6] + 1]) + good[7:] + b"\x01"  # what a later version may add
    later = consumer.read(0, 0, b"bed", good[:2] + zlib.crc32(one_more).to_bytes(4, "little") + one_more)
    assert later.frame == frame(0)


@pytest.mark.parametrize(
    "leads", [("A,B",), ("A", "B\0"), ("É",), ("A", ""), ("A" * 33,), ("A", "A")], ids=lambda leads: repr(leads)[:12]
)
def test_leads_that_could_be_taken_for_others_are_refused(leads: tuple[str, ...]) -> None:
    """The bed's row keeps their names in 400 bytes, with commas between them."""
    with pytest.raises(FrameError) as caught:
        frame(0, leads=leads)
    assert caught.value.reason == "leads"


def test_twelve_of_the_longest_names_are_the_same_device() -> None:
    ward = Ward(reader())
    leads = tuple(f"{i:02}" + "X" * 30 for i in range(12))
    assert said(ward, [frame(0, leads=leads), frame(62, leads=leads)]).events.keys() == {"sequence"}


def test_a_thousand_beds_need_no_gigabytes() -> None:
    beats, revisions, marks, moves = bed.room(1000)
    size = (
        beats * bed.BEAT.itemsize
        + revisions * bed.REVISION.itemsize
        + moves * conditions.TRANSITION.itemsize
        + marks * 32
    )
    assert size < 300e6
    assert bed.room(2000)[3] == 2 * moves


def test_an_alert_is_raised_before_it_is_cleared_in_the_file(tmp_path: Path) -> None:
    """A beat found after a pause was declared may lie before that moment."""
    raised = Alert("x", "bed", "pause", "physiological", "medium", "raised", 250.0, 0, "", 1000, "", {})
    cleared = replace(raised, state="cleared", cleared_sample=990, cleared_time="")
    lines = write_alerts(tmp_path, "bed", [cleared, raised]).read_bytes().splitlines()
    assert [decode_alert(line).state for line in lines] == ["raised", "cleared"]


def test_records_of_one_name_do_not_overwrite_each_other(tmp_path: Path) -> None:
    paths = [Path("mitdb/100"), Path("mitdb/101"), Path("ludb/100")]
    with pytest.raises(RecordError, match="--database"):
        list(annotate.annotate_all(paths, tmp_path / "out", None, Limits(), 1))
    assert not (tmp_path / "out").exists()


def test_whatever_a_record_does_the_next_is_judged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(path: Path) -> None:
        raise ValueError(f"no {path.name}")

    monkeypatch.setattr(annotate, "read_record", broken)
    done = list(annotate.annotate_all([Path("a"), Path("b")], tmp_path, None, Limits(), 1))
    assert ["no a" in done[0].error, "no b" in done[1].error] == [True, True]
