"""Faults do what they say to the frames they strike, nothing to the others, and the same in every run."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from replay.faults import CHANGED_BYTES, KINDS, SILENCE_S, Fault, Packet, damaged, inject, parse
from replay.framing import frames
from stream.errors import FrameError, SettingsError
from stream.frames import decode, encode
from tests.replay.examples import record

FRAME_S = 0.25


def packets(seconds: float = 20.0) -> list[Packet]:
    cut = frames(record(rate_mHz=200_000, length=int(seconds * 200), leads=1), "bed", origin_us=10**15)
    return [Packet((f.first_sample + f.instants) / 200, f.first_sample / 200, f) for f in cut]


def run(faults: Sequence[Fault], seed: int = 0, bed: str = "bed", seconds: float = 20.0) -> list[Packet]:
    return list(inject(packets(seconds), faults, seed, bed))


def seqs(stream: Sequence[Packet]) -> list[int]:
    return [p.frame.seq for p in stream if not p.lost]


some_faults = st.lists(
    st.builds(
        Fault,
        kind=st.sampled_from(KINDS),
        probability=st.sampled_from([0.0, 0.05, 0.5, 1.0]),
        at_s=st.one_of(st.none(), st.floats(0, 25)),
        seconds=st.sampled_from([0.0, 0.3, 5.0]),
    ),
    max_size=5,
)


@given(some_faults, st.integers(0, 2**64))
@settings(deadline=None)
def test_whatever_combines(faults: list[Fault], seed: int) -> None:
    """Every frame that is not lost comes; due times do not go back; what was struck says so; twice gives the same."""
    result = run(faults, seed)
    assert result == run(list(reversed(faults)), seed)
    assert {p.frame.seq for p in result} == {p.frame.seq for p in packets()}
    assert all(a.due_s <= b.due_s for a, b in itertools.pairwise(result))
    kinds = {f.kind for f in faults}
    assert {kind for p in result for kind in p.faults} <= kinds
    originals = {p.frame.seq: p for p in packets()}
    for packet in result:
        assert packet.lost == ("gap" in packet.faults)
        assert bool(packet.damage) == ("corrupt" in packet.faults)
        if "silence" not in kinds:
            assert packet.frame == originals[packet.frame.seq].frame


def test_no_faults_change_nothing() -> None:
    assert run([]) == packets()


@given(st.sampled_from(KINDS), st.integers(0, 1000))
def test_seed_and_bed_decide(kind: str, seed: int) -> None:
    faults = [Fault(kind, probability=0.5, seconds=0.0)]
    if kind == "silence":
        faults = [Fault(kind, probability=0.5, seconds=1.0)]
    assert run(faults, seed) != run(faults, seed + 1)
    assert run(faults, seed, "bed 1") != run(faults, seed, "bed 2")


def test_one_fault_does_not_move_another() -> None:
    gaps = [p.frame.seq for p in run([Fault("gap", 0.2)], 7) if p.lost]
    both = run([Fault("corrupt", 0.3), Fault("gap", 0.2), Fault("duplicate", 0.3)], 7)
    assert [p.frame.seq for p in both if p.lost] == gaps
    assert gaps


def test_gap_at_a_time() -> None:
    lost = [p.frame.seq for p in run([parse("gap@5s:2s")]) if p.lost]
    assert lost == list(range(20, 28))
    assert [p.frame.seq for p in run([parse("gap@5.1s")]) if p.lost] == [20]
    assert not any(p.lost for p in run([parse("gap@1h")]))


def test_probabilities_are_kept() -> None:
    struck = sum(p.lost for p in run([Fault("gap", 0.1)], 3, seconds=120.0))
    assert 20 < struck < 80  # of 480 frames, 48 expected; seven standard deviations
    assert all(p.lost for p in run([Fault("gap", 1.0)]))


def test_a_probable_gap_lasts() -> None:
    result = run([parse("gap=0.02:1s")], 1, seconds=120.0)
    stretches = [len(list(group)) for lost, group in itertools.groupby(result, key=lambda p: p.lost) if lost]
    assert stretches
    assert min(stretches) >= round(1 / FRAME_S)


def test_duplicate() -> None:
    result = run([parse("duplicate@2s")])
    assert seqs(result) == sorted([*range(80), 8])
    assert [p.faults for p in result if p.frame.seq == 8] == [(), ("duplicate",)]


def test_reorder() -> None:
    result = run([parse("reorder@2s")])
    assert seqs(result) == [*range(8), 9, 8, *range(10, 80)]
    assert result[9].due_s == result[8].due_s
    assert seqs(run([parse("reorder@19.9s")])) == list(range(80))  # nothing follows the last


def test_reorder_across_a_gap() -> None:
    result = run([parse("reorder@2s"), parse("gap@2.25s:500ms")])
    assert seqs(result) == [*range(8), 11, 8, *range(12, 80)]


def test_silence() -> None:
    result = run([parse("silence@5s:3s")])
    assert seqs(result) == list(range(80))
    for before, after in zip(packets(), result, strict=True):
        moved = 3.0 if after.frame.seq >= 20 else 0.0
        assert after.due_s == before.due_s + moved
        assert after.frame.first_sample == before.frame.first_sample
        assert after.frame.device_time_us == before.frame.device_time_us + int(moved * 1e6)
    assert sum(p.faults == ("silence",) for p in result) == 1


@given(st.binary(min_size=1, max_size=600), st.integers(0, 2**64))
def test_damage_is_seen_and_small(message: bytes, seed: int) -> None:
    result = damaged(message, seed)
    assert len(result) == len(message)
    assert 1 <= sum(a != b for a, b in zip(message, result, strict=True)) <= CHANGED_BYTES
    assert damaged(message, seed) == result


@given(st.integers(0, 2**64))
def test_damaged_frames_are_refused(seed: int) -> None:
    with pytest.raises(FrameError):
        decode(damaged(encode(packets(1.0)[0].frame), seed))


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("gap=0.01", Fault("gap", probability=0.01)),
        ("gap@30s:2s", Fault("gap", at_s=30.0, seconds=2.0)),
        ("corrupt@1.5m", Fault("corrupt", at_s=90.0)),
        ("duplicate=1:500ms", Fault("duplicate", probability=1.0, seconds=0.5)),
        ("reorder@250ms", Fault("reorder", at_s=0.25)),
        ("silence@2min", Fault("silence", at_s=120.0, seconds=SILENCE_S)),
        ("SILENCE=.001:1h", Fault("silence", probability=0.001, seconds=3600.0)),
        (" gap@10 ", Fault("gap", at_s=10.0)),
    ],
)
def test_written_form(text: str, fault: Fault) -> None:
    assert parse(text) == fault


@pytest.mark.parametrize(
    "text",
    ["", "gap", "gap=", "gap=1.01", "gap=-1", "gap@", "gap@x", "flood=0.1", "gap=0.1@3s", "gap@1s:2d", "gap@1s:"],
)
def test_no_written_form(text: str) -> None:
    with pytest.raises(SettingsError, match="fault"):
        parse(text)


def test_endless_streams_are_read_as_needed() -> None:
    endless: Callable[[], itertools.count[int]] = itertools.count
    source = packets(1.0)[0]
    stream = inject((source._replace(at_s=k * FRAME_S) for k in endless()), [Fault(k, 0.1) for k in KINDS], 0, "bed")
    assert len(list(itertools.islice(stream, 1000))) == 1000
