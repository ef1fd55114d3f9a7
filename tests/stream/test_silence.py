"""Beds that stop sending are told, each once, and an outage of Kafka is not taken for their silence."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream.silence import GRACE_S, LONGEST_S, SilenceTracker

S = 1_000_000  # µs
HOMES = {"a": 0, "b": 0, "c": 1}
SILENT_AFTER_S = 10


def watch(tracker: SilenceTracker, begin_s: int, end_s: int, *partitions: int) -> None:
    """Kafka answers twice a second, up to and with the end."""
    for half, partition in itertools.product(range(2 * begin_s, 2 * end_s + 1), partitions or (0, 1)):
        answers(tracker, partition, half / 2)


def answers(tracker: SilenceTracker, partition: int, now_s: float) -> None:
    """Kafka answers, and all there is has been read."""
    tracker.answers(partition, now_s, 7, 7)


def overdue(tracker: SilenceTracker, partition: int) -> list[str]:
    return list(tracker.overdue(partition, HOMES))


@pytest.fixture
def tracker() -> SilenceTracker:
    """Three beds, heard at 100 s, that are silent after 10 s."""
    tracker = SilenceTracker(SILENT_AFTER_S)
    watch(tracker, 90, 100)
    for bed, partition in HOMES.items():
        tracker.heard(bed, partition, 100 * S, 100)
    return tracker


def test_a_bed_is_overdue_when_it_was_not_heard_for_longer_than_it_may_be(tracker: SilenceTracker) -> None:
    watch(tracker, 100, 104)
    tracker.heard("b", 0, 104 * S, 104)
    watch(tracker, 104, 110)
    assert overdue(tracker, 0) == ["a"]
    watch(tracker, 110, 113)
    assert overdue(tracker, 0) == ["a"]
    watch(tracker, 113, 115)
    assert overdue(tracker, 0) == ["a", "b"]
    assert overdue(tracker, 1) == ["c"]
    assert tracker.quietest_s() == 100


def test_a_silent_bed_is_told_again_only_after_it_was_heard(tracker: SilenceTracker) -> None:
    tracker.silent("a")
    watch(tracker, 100, 150)
    assert overdue(tracker, 0) == ["b"]
    tracker.heard("a", 0, 150 * S, 150)
    watch(tracker, 150, 161)
    assert overdue(tracker, 0) == ["a", "b"]


def test_a_clock_that_is_ahead_hides_no_silence(tracker: SilenceTracker) -> None:
    tracker.heard("a", 0, 900 * S, 100)
    watch(tracker, 100, 111)
    assert overdue(tracker, 0) == ["a", "b"]


def test_an_outage_does_not_count(tracker: SilenceTracker) -> None:
    watch(tracker, 100, 101)
    watch(tracker, 101, 160, 1)  # only of partition 0 nothing is known until 160
    watch(tracker, 160, 165)
    assert overdue(tracker, 0) == []
    assert overdue(tracker, 1) == ["c"]
    tracker.heard("b", 0, 165 * S, 165)
    watch(tracker, 165, 169)
    assert overdue(tracker, 0) == ["a"]
    watch(tracker, 169, 176)
    assert overdue(tracker, 0) == ["a", "b"]


@given(st.lists(st.floats(0.001, 120.0), min_size=1, max_size=40).filter(lambda gaps: sum(gaps) > 0.1))
def test_however_often_kafka_comes_and_goes_silence_is_told_in_the_end(gaps: list[float]) -> None:
    tracker = SilenceTracker(SILENT_AFTER_S)
    answers(tracker, 0, 0.0)
    tracker.heard("a", 0, 0, 0)
    now = counted = 0.0
    for gap in itertools.cycle(gaps):
        now += gap
        counted += min(gap, LONGEST_S)
        answers(tracker, 0, now)
        told = overdue(tracker, 0)
        assert bool(told) == (counted >= SILENT_AFTER_S) or abs(counted - SILENT_AFTER_S) < 1e-6
        if told or counted > SILENT_AFTER_S + 2 * LONGEST_S:
            break
    assert told == ["a"]


def test_what_another_worker_heard_counts_and_nothing_is_left_of_beds_given_up(tracker: SilenceTracker) -> None:
    tracker.silent("a")
    tracker.clear()
    assert tracker.quietest_s() is None
    assert not tracker.is_caught_up(0)
    assert overdue(tracker, 0) == []
    tracker.restored("a", 0, 100 * S, 50, 150, silent=False)
    tracker.restored("b", 0, 100 * S, 50, 150, silent=True)
    tracker.restored("c", 1, 145 * S, 5, 150, silent=False)
    grace = int(GRACE_S)
    watch(tracker, 150, 150 + grace - 1)
    assert overdue(tracker, 0) == []
    watch(tracker, 150 + grace - 1, 150 + grace)
    assert overdue(tracker, 0) == ["a"]
    assert overdue(tracker, 1) == []


def test_a_gateway_whose_clock_is_behind_is_not_silent_after_every_move() -> None:
    tracker = SilenceTracker(SILENT_AFTER_S)
    tracker.restored("a", 0, 85 * S, 15, 100, silent=False)
    watch(tracker, 100, 101)
    tracker.heard("a", 0, 86 * S, 101)
    watch(tracker, 101, 105)
    assert overdue(tracker, 0) == []


@pytest.mark.parametrize("ahead_s", [-3600, 0, 3600])
def test_how_long_a_bed_is_silent_is_told_by_no_clock_that_can_be_set(tracker: SilenceTracker, ahead_s: int) -> None:
    sent_us = (4000 + ahead_s) * S  # by its gateway
    tracker.heard("a", 0, sent_us, 100)
    watch(tracker, 100, 110)
    assert tracker.overdue(0, HOMES)["a"] == sent_us + 10 * S
    watch(tracker, 130, 131, 0)  # it is told late, as Kafka did not answer
    assert tracker.overdue(0, HOMES)["a"] == sent_us + 31 * S
    tracker.restored("a", 0, sent_us, ahead_s + 20, 131, silent=False)
    watch(tracker, 131, 141)
    assert tracker.overdue(0, HOMES)["a"] == sent_us + (max(ahead_s + 20, 0) + 10) * S


def test_while_frames_keep_coming_silence_is_told_as_of_what_has_been_read(tracker: SilenceTracker) -> None:
    """There is always a frame that has just come, and the partition never read to its end."""
    told = []
    for half in range(201, 240):
        end = 100 * half
        tracker.heard("b", 0, half * S // 2, half / 2)
        tracker.answers(0, half / 2, end, end - 30)
        told.append((half / 2, overdue(tracker, 0)))
    assert min(now for now, beds in told if beds == ["a"]) <= 100 + SILENT_AFTER_S + 1
    assert all(beds == [] for now, beds in told if now < 100 + SILENT_AFTER_S)
    assert not any("b" in beds for _, beds in told)


def test_nobody_is_silent_before_what_lies_there_is_read() -> None:
    tracker = SilenceTracker(SILENT_AFTER_S)
    tracker.restored("a", 0, 0 * S, 100, 100, silent=False)
    for second in range(100, 200):
        tracker.answers(0, float(second), 1000, 10 * (second - 100))
    assert not tracker.is_caught_up(0)
    assert overdue(tracker, 0) == []
    tracker.answers(0, 200.0, 1100, 1000)
    assert tracker.is_caught_up(0)
    assert overdue(tracker, 0) == []  # as of 100 s: it has sent for all that is known
    tracker.answers(0, 201.0, 1100, 1100)
    assert overdue(tracker, 0) == ["a"]
