"""The ward by its properties on a scripted patient: framing, crash, order, neighbours.

On real records: `test_ward_on_records`.
"""

from __future__ import annotations

import dataclasses
import functools
import itertools
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from model.pace import LONGEST_RR_S
from replay.framing import frames, origin_us
from replay.records import Record
from replay.script import load
from stream import conditions
from stream.collector import Collector
from stream.errors import SnapshotError
from stream.frames import INVALID, Frame
from stream.ward import OF_LEADS, Ward
from stream.wire import Beat, Mark, Revision, Rule
from tests.stream.wards import Said, cut, reader, through

SCRIPT = """
patient "properties"  rate 360 Hz  leads II V1  seed 3
sinus 72 for 20 s
couplet
sinus 80 for 8 s
vt 180 for 8 s
sinus 70 for 10 s with leadoff all
sinus 70 for 15 s
asystole for 8 s
sinus 60 for 15 s
"""


@functools.cache
def scripted() -> Record:
    return load(SCRIPT).record


Told = tuple[list[Beat], list[Revision], list[Mark], list[bytes]]


@functools.cache
def whole() -> Told:
    return through([[frame] for frame in cut(scripted(), [90])]).of("bed")


def test_the_script_is_told_as_it_happens() -> None:
    beats, _, _, lines = whole()
    rules = Counter(msgspec.json.decode(line)["rule"] for line in lines)
    assert {"asystole", "ventricular_tachycardia", "lead_off", "unmonitored"} <= rules.keys()
    assert rules["asystole"] == 2  # raised and cleared, once
    assert Counter(beat.label for beat in beats)["V"] >= 15
    for line in lines:
        alert = msgspec.json.decode(line)
        assert alert["onset_sample"] <= alert["decided_sample"]


def test_every_beat_that_is_followed_soon_has_one_last_word() -> None:
    beats, revisions, _, _ = whole()
    rate = scripted().rate_mHz / 1000
    soon = [(b, after) for b, after in pairwise(beats) if after.sample - b.sample <= LONGEST_RR_S * rate - 2]
    last = {revision.sample: revision for revision in revisions}
    assert len(last) == len(revisions)
    assert {b.sample for b, _ in soon} <= last.keys() <= {b.sample for b in beats[:-1]}
    assert len(beats) - len(revisions) > 1  # the asystole
    for b, after in soon:
        assert last[b.sample].known_ms == pytest.approx(after.rr_ms + after.known_ms, abs=8)
        assert last[b.sample].known_ms > b.known_ms


lengths = st.lists(st.integers(1, 1000), min_size=1, max_size=10)
groups = st.lists(st.integers(1, 6), min_size=1, max_size=5)


def grouped(all_frames: Sequence[Frame], sizes: Sequence[int]) -> Iterable[Sequence[Frame]]:
    first = turn = 0
    while first < len(all_frames):
        size = sizes[turn % len(sizes)]
        yield all_frames[first : first + size]
        first, turn = first + size, turn + 1


@given(lengths=lengths, sizes=groups)
@settings(max_examples=15, deadline=None)
def test_neither_frames_nor_calls_matter(lengths: list[int], sizes: list[int]) -> None:
    assert through(grouped(cut(scripted(), lengths), sizes)).of("bed") == whole()


def crash(record: Record, at: int) -> Told:
    """The output when the ward dies before frame `at` and another goes on from the snapshot."""
    all_frames = cut(record, [90])
    first, second = Ward(reader()), Ward(reader())
    said = through(([frame] for frame in all_frames[:at]), first)
    second.restore("bed", first.snapshot("bed"))
    for frame in all_frames[at:]:
        second.detect([frame])
        said.add(second.judge())
    return said.of("bed")


@given(at=st.integers(1, 300))
@settings(max_examples=15, deadline=None)
def test_a_crash_changes_nothing(at: int) -> None:
    assert crash(scripted(), at) == whole()


def test_a_foreign_snapshot_is_refused_and_leaves_the_bed_as_it_was() -> None:
    ward = Ward(reader())
    ward.detect(cut(scripted(), [90])[:4])
    ward.judge()
    good = ward.snapshot("bed")
    for bad in (b"", b"nonsense", good[:-1], good + b"x", b"T" + good[1:]):
        with pytest.raises(SnapshotError, match="learns anew"):
            ward.restore("bed", bad)
    assert ward.snapshot("bed") == good
    assert len(good) < 64 * 1024


def test_beds_do_not_touch_each_other() -> None:
    """Forty beds, some with disorder, more than the table has room for at first: each says what it says alone."""
    record = scripted()
    plain = cut(record, [90])
    beds = [f"bed-{i}" for i in range(40)]
    replace = msgspec.structs.replace
    rounds: list[list[Frame]] = []
    for k, frame in enumerate(plain):
        group = [replace(frame, bed=bed) for bed in beds]
        if k % 5 == 0:
            group[3] = replace(group[3], first_sample=group[3].first_sample + 5)
        if k % 7 == 0:
            group.append(group[5])
        if k % 11 == 0:
            del group[7]
        rounds.append(group)
    said = through(rounds)
    for bed in (0, 1, 2, 4, 5, 6, 8, 20, 39):
        *annotated, lines = said.of(beds[bed])
        assert annotated == list(whole()[:3]), beds[bed]
        assert len(lines) == len(whole()[3])
    assert said.events["duplicate"] > 0
    assert said.events["gap"] > 0


def test_a_forgotten_bed_begins_anew() -> None:
    ward = Ward(reader())
    first = through([[frame] for frame in cut(scripted(), [90])], ward)
    ward.forget("bed")
    assert "bed" not in ward.beds
    assert through([[frame] for frame in cut(scripted(), [90])], ward).of("bed") == first.of("bed")


def disorder(change: dict[int, list[Frame]]) -> Said:
    return through([change.get(k, [frame]) for k, frame in enumerate(cut(scripted(), [90]))])


def rules(said: Said) -> Counter[str]:
    return Counter(alert.rule for alert in said.alerts.get("bed", []) if alert.state == "raised")


def test_duplicates_and_old_frames_change_nothing() -> None:
    plain = cut(scripted(), [90])
    said = disorder({40: [plain[40], plain[40]], 60: [plain[60], plain[55], plain[60]]})
    assert said.of("bed") == whole()
    assert said.events == {"duplicate": 3}


def test_a_gap_is_an_alert_and_the_late_frame_is_counted() -> None:
    plain = cut(scripted(), [90])
    said = disorder({40: [], 41: [plain[41], plain[40]]})
    assert said.events == {"gap": 1, "late": 1}
    gap = next(alert for alert in said.alerts["bed"] if alert.rule == "signal_gap")
    assert (gap.onset_sample, gap.decided_sample) == (40 * 90, 41 * 90)
    assert gap.evidence == {"missing_s": 0.25}


def test_a_long_gap_relearns_and_no_heart_stands_still_in_it() -> None:
    plain = cut(scripted(), [90])
    shift = 60 * 360
    replace = msgspec.structs.replace
    later = [
        replace(f, first_sample=f.first_sample + shift, device_time_us=f.device_time_us + 60_000_000)
        for f in plain[60:100]
    ]
    said = through([[f] for f in [*plain[:60], *later]])
    found = rules(said)
    assert found["signal_gap"] == 1
    assert found["relearning"] == 1
    assert found["asystole"] == 0
    assert found["pause"] == 0


def test_a_device_that_stops_and_goes_on_is_a_gap_too() -> None:
    plain = cut(scripted(), [90])
    replace = msgspec.structs.replace
    later = [replace(f, device_time_us=f.device_time_us + 5_000_000) for f in plain[60:100]]
    said = through([[f] for f in [*plain[:60], *later]])
    gap = next(alert for alert in said.alerts["bed"] if alert.rule == "signal_gap")
    assert gap.evidence["missing_s"] == pytest.approx(5.0, abs=0.01)


@pytest.mark.parametrize(
    ("rule", "what"),
    [
        *itertools.product(("asystole", "ventricular_tachycardia"), ("clock", "clock and gap")),
        ("asystole", "lead"),  # beats of a tachycardia are read anew in the other lead, and may disprove it
    ],
)
def test_an_alarm_stands_while_samples_are_counted_on(rule: str, what: str) -> None:
    """Neither a clock that is set nor a lead that falls off ends an asystole: only the new signal can."""
    plain = cut(scripted(), [90])
    once = through([[f] for f in plain])
    alarm = next(a for a in once.alerts["bed"] if (a.rule, a.state) == (rule, "raised"))
    end = next((a.cleared_sample for a in once.alerts["bed"] if (a.id, a.state) == (alarm.id, "cleared")), None)
    at = next(i for i, f in enumerate(plain) if f.first_sample >= alarm.decided_sample) + 1
    assert end is None or end > plain[at].first_sample + 360, "it ends before anything happens"
    after = moved(plain[at:], us=5_000_000)
    if what == "lead":
        lead = [f.samples[:, :1].astype("<i2").tobytes() for f in plain[at:]]
        after = [
            msgspec.structs.replace(f, leads=f.leads[:1], units_per_bit=f.units_per_bit[:1], data=data)
            for f, data in zip(plain[at:], lead, strict=True)
        ]
    changed = [*plain[:at], *(after[3:] if what == "clock and gap" else after)]
    alerts = through([[f] for f in changed[: at + 4]]).alerts["bed"]
    assert [a.state for a in alerts if a.id == alarm.id] == ["raised"]
    assert [a.state for a in alerts if a.rule == "relearning"][-1] == "raised"
    whole = through([[f] for f in changed]).alerts["bed"]
    told = [a for a in whole if a.id == alarm.id]
    assert [a.state for a in told] == (["raised"] if end is None else ["raised", "cleared"])
    assert {a.onset_time for a in told} == {alarm.onset_time}


def at_once(rule: Rule, change: str) -> tuple[list[str], bool]:
    """What is said of an alert that stands in the moment of a change, before any of the new signal is judged."""
    plain = cut(scripted(), [90])
    ward = Ward(reader())
    through([[f] for f in plain[:40]], ward)
    out = np.zeros(1, conditions.TRANSITION)
    row = ward._table[ward._rows["bed"]]
    conditions.raise_(out, 0, row["rules"], int(rule), 39 * 90, 40 * 90, 1.0, 0.0, 0.0)
    row["rules"]["lead_held"] = row["rules"]["hidden_run"] = 4 * 250  # of whatever fault it is
    f = plain[40]
    part = msgspec.structs.replace(f, data=f.samples[:10].tobytes())
    (late,) = moved([part], us=5_000_000)
    other = msgspec.structs.replace(part, leads=("MDC_ECG_LEAD_I", "MDC_ECG_LEAD_V5"))
    (gap,) = moved([part], samples=40 * 360, us=40_000_000)
    ward.detect([{"clock": late, "leads": other, "long gap": gap}[change]])
    said = ward.judge()
    states: list[str] = [alert.state for alert in said.alerts if alert.rule == rule.label]
    return states, bool(ward._table[ward._rows["bed"]]["rules"]["rule"][int(rule)]["active"])


OF_THE_INPUT = (Rule.SIGNAL_GAP, Rule.BED_SILENT, Rule.RELEARNING)


@pytest.mark.parametrize("change", ["clock", "leads", "long gap"])
@pytest.mark.parametrize("rule", [rule for rule in Rule if rule not in OF_THE_INPUT], ids=lambda rule: rule.label)
def test_no_alert_ends_by_a_change_but_those_of_leads_that_are_gone(rule: Rule, change: str) -> None:
    ends = change == "leads" and rule in OF_LEADS
    assert at_once(rule, change) == (["cleared"] if ends else [], not ends)


@pytest.mark.parametrize("rule", ["lead_off", "flat_line", "noisy", "saturated", "unmonitored"])
def test_a_fault_of_a_lead_is_one_alert_across_a_change_of_the_clock(rule: str) -> None:
    """It holds on, and is not ended and told again."""
    plain = cut(scripted(), [90])
    rng = np.random.default_rng(1)

    def faulty(f: Frame) -> Frame:
        samples = f.samples.copy()
        if rule in ("lead_off", "unmonitored"):
            samples[:, :] = INVALID
        elif rule == "flat_line":
            samples[:, 0] = 0
        elif rule == "saturated":
            samples[:, 0] = 32767
        else:
            samples[:, 0] = rng.integers(-400, 400, len(samples))
        return msgspec.structs.replace(f, data=samples.astype("<i2").tobytes())

    bad = [faulty(f) for f in plain[40:160]]
    changed = [*plain[:40], *bad[:60], *moved(bad[60:], us=5_000_000)]
    alerts = [a for a in through([[f] for f in changed]).alerts["bed"] if a.rule == rule]
    assert [a.state for a in alerts] == ["raised"]


@pytest.mark.parametrize("change", [None, "clock", "gap"])
def test_p_waves_end_no_asystole_after_a_change_either(change: str | None) -> None:
    """A detector that learns anew takes them for beats; how high beats were is still known."""
    record = load('patient "atria"  rate 360 Hz  leads II V1  seed 5\nsinus 70 for 30 s').record
    mv = np.zeros((90 * 360, 2))
    beat = record.samples[: 30 * 360].astype(np.float64)
    mv[: 30 * 360] = beat
    t = np.arange(len(mv))
    for at in range(30 * 360, 90 * 360, 300):
        mv[:, 0] += 0.2 / record.units_per_bit[0] * np.exp(-0.5 * ((t - at) / 12) ** 2)
    made = dataclasses.replace(record, samples=np.rint(mv).astype(np.int16))
    plain = cut(made, [90])
    if change == "clock":
        plain = [*plain[:180], *moved(plain[180:], us=5_000_000)]
    elif change == "gap":
        plain = [*plain[:180], *moved(plain[180:], samples=40 * 360, us=40_000_000)]
    alerts = [a for a in through([[f] for f in plain]).alerts["bed"] if a.rule == "asystole"]
    assert [a.state for a in alerts] == ["raised"]


@pytest.mark.parametrize("size", [10, 62])
def test_a_lead_that_changes_in_an_overlap_is_one_change_however_it_is_cut(size: int) -> None:
    plain = cut(scripted(), [90])
    other = dataclasses.replace(scripted(), leads=("MDC_ECG_LEAD_I", "MDC_ECG_LEAD_V5"))
    after = moved([f for f in cut(other, [size]) if f.first_sample >= 60 * 90][:20], samples=-20, us=450_000)
    ward = Ward(reader())
    said = through([[f] for f in [*plain[:60], *after]], ward)
    assert said.events["leads_changed"] == 1
    assert ward._table[0]["intake"]["numbering"] == 0


def test_alerts_of_leads_end_with_them() -> None:
    plain = cut(scripted(), [90])
    replace = msgspec.structs.replace
    off = [replace(f, data=np.full_like(f.samples, INVALID).tobytes()) for f in plain[40:60]]
    other = [replace(f, leads=("MDC_ECG_LEAD_I", "MDC_ECG_LEAD_V5")) for f in plain[60:61]]
    alerts = through([[f] for f in [*plain[:40], *off, *other]]).alerts["bed"]
    assert [(a.state, a.cleared_sample) for a in alerts if a.rule == "lead_off"][1:] == [("cleared", 60 * 90)]


@pytest.mark.parametrize("overlap", [1, 20])
def test_a_count_that_happens_to_be_near_hides_no_absence(overlap: int) -> None:
    """A device that was away for an hour, or started anew within its first second, may count on from nearly there."""
    plain = cut(scripted(), [90])
    later = moved(plain[60:100], samples=-overlap, us=3_600_000_000)
    said = through([[f] for f in [*plain[:60], *later]])
    assert said.events["restart"] == 1
    assert rules(said)["relearning"] == 1
    assert not through([[f] for f in [*plain[:60], *moved(plain[60:], samples=-overlap)]]).events["restart"]


def test_samples_of_before_another_lead_are_not_read_twice() -> None:
    plain = cut(scripted(), [90])
    replace = msgspec.structs.replace
    shift_us = -20 * 1_000_000 // 360
    other = [
        replace(f, leads=("MDC_ECG_LEAD_I", "MDC_ECG_LEAD_V5")) for f in moved(plain[60:100], samples=-20, us=shift_us)
    ]
    ward = Ward(reader())
    said = through([[f] for f in [*plain[:60], *other]], ward)
    assert said.events == {"leads_changed": 1}
    place = ward._table[0]["intake"]
    assert place["numbering"] == 0
    relearning = next(a for a in said.alerts["bed"] if a.rule == "relearning")
    assert relearning.onset_sample == 60 * 90


@pytest.mark.parametrize("seq", ["from 0", "always 0"])
def test_old_frames_under_new_numbers_are_no_new_device(seq: str) -> None:
    """Sent again by a gateway that numbers what it sends: their samples and their time are those of before."""
    plain = cut(scripted(), [90])
    again = [msgspec.structs.replace(f, seq=i if seq == "from 0" else 0) for i, f in enumerate(plain[60:80])]
    said = through([[f] for f in [*plain[:80], *again, *plain[80:]]])
    assert said.events == {"duplicate": 20}
    assert said.of("bed") == whole()


def test_the_time_of_a_gap_is_told_by_the_clock_of_before() -> None:
    plain = cut(scripted(), [90])
    said = through([[f] for f in [*plain[:60], *moved(plain[60:70], us=3_600_000_000)]])
    (gap, ended) = (a for a in said.alerts["bed"] if a.rule == "signal_gap")
    assert gap.onset_time.startswith("1970-01-01T00:00:15")
    assert gap.decided_time.startswith("1970-01-01T01:00:15")
    assert ended.onset_time == gap.onset_time


def test_a_bed_of_which_only_its_place_is_known_is_watched_and_repeats_no_id() -> None:
    plain = cut(scripted(), [90])
    ward = Ward(reader())
    before = through([[f] for f in plain[:80]], ward)
    silent = ward.silence("bed", 0).alerts[0]
    place = ward.position("bed")
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(place), type=type(place)) == place
    other = Ward(reader())
    begun = other.begin("bed", place)
    assert [(a.rule, a.state, a.onset_sample) for a in begun.alerts] == [("relearning", "raised", 80 * 90)]
    again = other.silence("bed", 0).alerts[0]
    assert again.id != silent.id
    assert (again.onset_sample, again.onset_time) == (silent.onset_sample, silent.onset_time)
    said = through([[f] for f in [*plain[75:]]], other)
    assert said.events == {"duplicate": 5}
    assert min(b.sample for b in said.beats["bed"]) > 80 * 90
    assert not {a.id for a in said.alerts["bed"]} & {a.id for a in before.alerts.get("bed", [])}


def test_a_device_that_begins_anew_is_read_on() -> None:
    plain = cut(scripted(), [90])
    replace = msgspec.structs.replace
    restarted = [replace(f, device_time_us=f.device_time_us + 10**9) for f in plain[:100]]
    said = through([[f] for f in [*plain[:80], *restarted]])
    assert said.events["restart"] == 1
    assert len([b for b in said.beats["bed"] if b.sample > 95 * 90]) > 0
    # The same from a device whose clock does not say so: after some old frames in a row it is believed.
    said = through([[f] for f in [*plain[:80], *plain[:60]]])
    assert said.events["restart"] == 1
    assert said.events["duplicate"] == 7
    assert rules(said)["relearning"] == 1


def moved(frames: Iterable[Frame], samples: int = 0, us: int = 0) -> list[Frame]:
    """The same frames, counted and timed from elsewhere."""
    return [
        msgspec.structs.replace(f, first_sample=f.first_sample + samples, device_time_us=f.device_time_us + us)
        for f in frames
    ]


@pytest.mark.parametrize(("first", "within"), [(0, 9), (20, 122)])
def test_a_device_that_begins_anew_is_believed_though_frames_are_lost(first: int, within: int) -> None:
    """A clock that was set back does not say so; the first frame that comes may have any number."""
    plain = cut(scripted(), [90])
    before = moved(plain[:80], samples=10**7, us=10**11)
    after = [frame for i, frame in enumerate(plain[first:]) if i % 7 != 5]
    said = through([[f] for f in [*before, *after[:within]]])
    assert said.events["restart"] == 1
    assert not through([[f] for f in [*before, *after[: within - 3]]]).events["restart"]


def test_a_clock_set_back_and_a_frame_sent_again_are_no_new_start() -> None:
    plain = moved(cut(scripted(), [90]), us=10**11)
    late = moved(plain[40:], us=-(10**10))
    once = through([[f] for f in [*plain[:40], *late]])
    again = through([[f] for f in [*plain[:40], *late[:20], *plain[30:33], *late[20:], *plain[38:40]]])
    assert again.events["restart"] == 0
    assert again.events["duplicate"] == once.events["duplicate"] + 5
    assert again.of("bed") == once.of("bed")


def test_who_sends_nothing_new_is_not_heard() -> None:
    plain = cut(scripted(), [90])
    ward = Ward(reader())
    for frame, heard in [(plain[0], True), (plain[1], True), (plain[0], False), (plain[1], False), (plain[2], True)]:
        ward.detect([frame])
        assert ("bed" in ward.judge().heard) == heard


@pytest.mark.parametrize("field", ["rate", "leads"])
def test_a_device_that_changes_is_read_on(field: str) -> None:
    plain = cut(scripted(), [90])
    replace = msgspec.structs.replace
    if field == "rate":
        other = [replace(f, rate_mHz=500_000) for f in plain[60:90]]
    else:
        other = [replace(f, leads=("MDC_ECG_LEAD_I", "MDC_ECG_LEAD_V5")) for f in plain[60:90]]
    said = through([[f] for f in [*plain[:60], *other]])
    assert said.events[f"{field}_changed"] == 1
    assert rules(said)["relearning"] == 1


def test_another_monitor_starts_with_an_empty_language_whatever_its_rate() -> None:
    """Rate and leads change at once: what was usual in the old leads says nothing of the new ones."""
    plain = cut(scripted(), [90])
    leads = ("MDC_ECG_LEAD_I", "MDC_ECG_LEAD_V5")
    other = [msgspec.structs.replace(f, leads=leads, rate_mHz=500_000) for f in plain[60:61]]
    ward = Ward(reader())
    said = through([[f] for f in [*plain[:60], *other]], ward)
    assert said.events["rate_changed"] == said.events["leads_changed"] == 1
    assert ward._table[0]["language"]["beats"] == 0


@pytest.mark.parametrize("field", ["rate", "leads"])
def test_a_frame_of_before_a_change_sent_again_changes_nothing(field: str) -> None:
    """Judged by its time: it must not set the bed back to what the device no longer is."""
    plain = cut(scripted(), [90])
    replace = msgspec.structs.replace
    old = {"rate_mHz": 180_000} if field == "rate" else {"leads": ("MDC_ECG_LEAD_I", "MDC_ECG_LEAD_V5")}
    before = [replace(f, device_time_us=f.device_time_us - 10**9, **old) for f in plain[:20]]
    once = through([[f] for f in [*before, *plain]])
    again = through([[f] for f in [*before, *plain[:60], *before[-3:], *plain[60:]]])
    assert again.of("bed") == once.of("bed")
    assert again.events["duplicate"] == once.events["duplicate"] + 3


def test_a_device_that_counts_anew_says_so_with_its_beats() -> None:
    """The same samples come again, to the same beats: without it nobody could tell them from a repetition."""
    plain = cut(scripted(), [90])
    late = plain[-1].device_time_us + 60_000_000
    again = [msgspec.structs.replace(f, device_time_us=f.device_time_us + late) for f in plain]
    ward = Ward(reader())
    batches = []
    for frame in [*plain, *again]:
        ward.detect([frame])
        batches += ward.judge().batches
    first, second = ([b for batch in batches if batch.numbering == n for b in batch.beats] for n in (0, 1))
    assert len(first) > 50
    assert {beat.sample for beat in second} & {beat.sample for beat in first}


def test_a_new_start_tells_no_interval_from_the_beat_before_it() -> None:
    """Ticks do not count the hour between; the words must not take the next beat for the neighbour of the last."""
    plain = cut(scripted(), [90])
    later = [msgspec.structs.replace(f, device_time_us=f.device_time_us + 3_600_000_000) for f in plain[60:]]
    ward = Ward(reader())
    for frame in [*plain[:60], *later[:20]]:
        ward.detect([frame])
        ward.judge()
    state = ward._table[0]["language"]
    assert 0 < state["intervals"] < state["beats"] - 1


def test_a_silent_bed_is_told_once_and_ends_with_its_next_frame() -> None:
    plain = cut(scripted(), [90])
    ward = Ward(reader())
    said = through([[f] for f in plain[:40]], ward)
    at = plain[40].ingest_time_us + 10_000_000
    for _ in range(2):
        said.add(ward.silence("bed", at))
    said.add(ward.silence("nobody", at))
    assert rules(said)["bed_silent"] == 1
    ward.detect([plain[40]])
    said.add(ward.judge())
    states = [alert.state for alert in said.alerts["bed"] if alert.rule == "bed_silent"]
    assert states == ["raised", "cleared"]


def test_a_bed_of_which_nothing_could_be_read_is_silent_and_then_begins_as_any_other() -> None:
    plain = cut(scripted(), [90])
    ward = Ward(reader())
    ward.expect("bed", 5_000_000)
    (raised,) = ward.silence("bed", 15_000_000).alerts
    assert (raised.rule, raised.evidence) == ("bed_silent", {"silent_s": 10.0})
    assert ward.beds["bed"].leads == ()
    other = Ward(reader())
    other.restore("bed", ward.snapshot("bed"))
    said = through([[f] for f in plain], other)
    cleared, *alerts = said.alerts["bed"]
    assert (cleared.id, cleared.state) == (raised.id, "cleared")
    assert not said.events
    said.alerts["bed"] = alerts
    assert said.of("bed") == whole()
    third = Ward(reader())  # of another version
    begun = third.begin("bed", ward.position("bed"))
    after = through([[f] for f in plain], third)
    assert {a.id for a in begun.alerts} <= {a.id for a in after.alerts["bed"] if a.state == "cleared"}
    assert after.beats["bed"] == whole()[0]


@given(seed=st.integers(0, 2**32 - 1))
@settings(max_examples=20, deadline=None)
def test_any_samples_are_survived(seed: int) -> None:
    """Noise, rails, invalid runs, absurd units: an output, finite numbers, and every alert well formed."""
    random = np.random.default_rng(seed)
    samples = random.integers(-32768, 32768, (3000, 2)).astype(np.int16)
    samples[random.integers(0, 3000) :, 0] = random.choice([-32768, 0, 32767])
    record = Record("noise", 250_000, ("A", "B"), tuple(random.uniform(1e-7, 1.0, 2)), samples)
    said = through([[frame] for frame in cut(record, [int(random.integers(1, 250))])])
    for beat in said.beats.get("bed", []):
        assert 0.0 <= beat.probability <= 1.0
        assert 0 <= beat.sample < 3000
    for alert in said.alerts.get("bed", []):
        assert np.isfinite(list(alert.evidence.values())).all()


def test_twelve_leads_are_read_by_their_names() -> None:
    record = scripted()
    names = tuple(f"MDC_ECG_LEAD_{name}" for name in ("I", "II", "III", "AVR", "AVL", "AVF", "V1", "V2", "V5"))
    other = np.zeros((len(record.samples), len(names)), np.int16)
    other[:, 1], other[:, 8] = record.samples[:, 0], record.samples[:, 1]
    wide = Record("wide", record.rate_mHz, names, (record.units_per_bit[0],) * len(names), other)
    assert through([[f] for f in cut(wide, [90])]).of("bed")[0] == whole()[0]


def test_frames_of_the_player_are_the_same_signal() -> None:
    record = scripted()
    played = frames(record, "bed", origin_us=origin_us(record, "record"))
    assert through([f] for f in played).of("bed")[:3] == whole()[:3]


def test_a_bug_met_by_one_bed_stops_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    from stream import intake

    judge = intake.judge

    def faulty(place: object, frame: Frame) -> intake.Verdict:
        if frame.bed == "unlucky" and frame.seq == 40:
            raise IndexError("a bug")
        return judge(place, frame)

    monkeypatch.setattr(intake, "judge", faulty)
    plain = cut(scripted(), [90])
    replace = msgspec.structs.replace
    said = through([[replace(f, bed="unlucky"), f] for f in plain])
    assert said.of("bed") == whole()
    assert said.events == {"fault": 1, "gap": 1}  # the samples of the frame that was dropped
    states = [alert.state for alert in said.alerts["unlucky"] if alert.rule == "relearning"]
    assert states == ["raised", "cleared"]
    gap, _ = [alert for alert in said.alerts["unlucky"] if alert.rule == "signal_gap"]
    assert gap.onset_sample == plain[40].first_sample
    assert gap.evidence == {"missing_s": pytest.approx(plain[40].instants * 1000 / plain[40].rate_mHz)}


def test_a_bug_ends_the_alerts_that_stand_and_repeats_no_id(monkeypatch: pytest.MonkeyPatch) -> None:
    from stream import intake

    judge = intake.judge

    def faulty(place: object, frame: Frame) -> intake.Verdict:
        if frame.seq in (100, 160):
            raise IndexError("a bug")
        return judge(place, frame)

    monkeypatch.setattr(intake, "judge", faulty)
    lost = [msgspec.structs.replace(f, data=np.full_like(f.samples, INVALID).tobytes()) for f in cut(scripted(), [90])]
    the_ward, alerts = Ward(reader()), []
    for f in lost[:220]:
        the_ward.detect([f])
        alerts += the_ward.judge().alerts
    last = {alert.id: alert for alert in alerts}
    assert all(sum(a.id == i and a.state == "raised" for a in alerts) == 1 for i in last), "an id has one life"
    standing = {rule.label for rule in the_ward.beds["bed"].active}
    assert standing >= {"unmonitored", "lead_off"}
    assert sorted(a.rule for a in last.values() if a.state == "raised") == sorted(standing)
    assert sum(a.rule == "unmonitored" for a in last.values()) == 3


def test_what_is_told_beside_a_bug_still_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    """An alert that was cleared in the same call is told, or it would stand for ever."""
    plain = cut(scripted(), [90])
    calls = [plain[i : i + 4] for i in range(0, len(plain), 4)]
    the_ward, told, numbers = Ward(reader()), 0, []
    for call in calls:
        the_ward.detect(call)
        said = the_ward.judge()
        beats = sum(len(batch.beats) for batch in said.batches)
        if beats and any(alert.state == "cleared" for alert in said.alerts):
            numbers.append(told)
        told += beats
    assert len(numbers) >= 3
    beat = Collector.beat

    for number in numbers:
        seen = itertools.count()

        def faulty(self: Collector, *given: Any, seen: Any = seen, number: int = number) -> None:
            if next(seen) == number:
                raise IndexError("a bug")
            beat(self, *given)

        monkeypatch.setattr(Collector, "beat", faulty)
        the_ward = Ward(reader())
        all_said = through(calls, the_ward)
        assert all_said.events["fault"] == 1
        last = {alert.id: alert for alert in all_said.alerts["bed"]}
        standing = {alert.rule for alert in last.values() if alert.state == "raised"}
        assert standing == {rule.label for rule in the_ward.beds["bed"].active}


@pytest.mark.parametrize("crash", [None, 50])
def test_a_bed_whose_every_frame_meets_a_bug_says_so_once(monkeypatch: pytest.MonkeyPatch, crash: int | None) -> None:
    from stream import intake

    judge = intake.judge

    def faulty(place: object, frame: Frame) -> intake.Verdict:
        if 40 <= frame.seq < 80:
            raise IndexError("a bug")
        return judge(place, frame)

    monkeypatch.setattr(intake, "judge", faulty)
    plain = cut(scripted(), [90])
    ward = Ward(reader())
    said = through(([f] for f in plain[:crash]), ward)
    if crash is not None:
        data, ward = ward.snapshot("bed"), Ward(reader())
        ward.restore("bed", data)
        rest = through(([f] for f in plain[crash:]), ward)
        said.alerts["bed"] += rest.alerts["bed"]
        said.events += rest.events
        said.faults += rest.faults
    assert said.events == {"fault": 40, "gap": 1}
    assert len(said.faults) == 1, "told once: the bed has begun anew once"
    alerts = [a for a in said.alerts["bed"] if a.rule in ("relearning", "signal_gap")]
    assert [(a.rule, a.state) for a in alerts[:3]] == [
        ("relearning", "raised"),
        ("signal_gap", "raised"),
        ("signal_gap", "cleared"),
    ]
    assert sum(a.rule == "relearning" for a in alerts) == 2
    assert alerts[1].evidence == {"missing_s": pytest.approx(sum(f.instants for f in plain[40:80]) / 360)}


@pytest.mark.parametrize("number", [0, 3])
def test_a_bug_behind_the_kernels_stops_no_other_bed(monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    """Not even where it is met as another bed's gap wants all that is queued to be judged."""
    from stream import catalogue

    alert, seen = catalogue.alert, itertools.count()

    def faulty(bed: str, *given: Any) -> Any:
        if bed == "unlucky" and next(seen) == number:
            raise IndexError("a bug")
        return alert(bed, *given)

    monkeypatch.setattr(catalogue, "alert", faulty)
    plain = cut(scripted(), [90])
    replace = msgspec.structs.replace
    groups = [[replace(f, bed="unlucky"), f, replace(f, bed="gap")] for f in plain]
    for i in range(10, len(groups), 10):
        groups[i].pop()
    said = through(groups)
    assert said.of("bed") == whole()
    assert said.events["fault"] == 1
    states = [a.state for a in said.alerts["unlucky"] if a.rule == "relearning"]
    assert states == ["raised", "cleared"]


@pytest.mark.parametrize("where", ["judge", "adopt"])
def test_a_bed_that_met_a_bug_and_sends_no_more_is_told(monkeypatch: pytest.MonkeyPatch, where: str) -> None:
    from stream import intake

    whole_one = getattr(intake, where)

    def faulty(place: object, frame: Frame) -> object:
        if frame.bed == "unlucky" and frame.seq == (5 if where == "judge" else 0):
            raise IndexError("a bug")
        return whole_one(place, frame)

    monkeypatch.setattr(intake, where, faulty)
    the_ward = Ward(reader())
    replace = msgspec.structs.replace
    for f in cut(scripted(), [90])[:6]:
        the_ward.detect([replace(f, bed="unlucky"), f])
    said = the_ward.judge()
    assert [bed for bed, _ in said.faults] == ["unlucky"]
    assert set(the_ward.beds) == {"unlucky", "bed"}
    the_ward.restore("again", the_ward.snapshot("unlucky"))
    silent = the_ward.silence("unlucky", 0)
    assert [(alert.rule, alert.state) for alert in silent.alerts] == [("bed_silent", "raised")]


def test_a_gateway_that_sends_old_frames_again_is_no_restart() -> None:
    plain = cut(scripted(), [90])
    said = disorder({60: [*plain[40:60], plain[60]]})
    assert said.of("bed") == whole()
    assert said.events == {"duplicate": 20}


def test_a_heart_that_stands_still_on_a_flat_line_is_an_asystole() -> None:
    record = scripted()
    samples = record.samples.copy()
    samples[12 * 360 : 20 * 360] = samples[12 * 360]
    said = through([[f] for f in cut(dataclasses.replace(record, samples=samples), [90])])
    first = next(alert for alert in said.alerts["bed"] if alert.rule == "asystole")
    assert 11 * 360 < first.onset_sample < 12.5 * 360
    assert first.decided_sample < 18 * 360
    assert rules(said)["flat_line"] == 1
