"""Beds that stop sending are told, each once, and an outage of Kafka is not taken for their silence."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream.attendance import LONGEST_S, Attendance

S = 1_000_000  # µs
HOMES = {"a": 0, "b": 0, "c": 1}
SILENT_AFTER_S = 10


def watch(attendance: Attendance, begin_s: int, end_s: int, *partitions: int) -> None:
    """Kafka answers twice a second, up to and with the end."""
    for half, partition in itertools.product(range(2 * begin_s, 2 * end_s + 1), partitions or (0, 1)):
        attendance.answers(partition, half / 2)


@pytest.fixture
def attendance() -> Attendance:
    """Three beds, heard at 100 s, that are silent after 10 s."""
    attendance = Attendance(SILENT_AFTER_S)
    watch(attendance, 90, 100)
    for bed, partition in HOMES.items():
        attendance.heard(bed, partition, 100 * S, 100 * S)
    return attendance


def test_a_bed_is_overdue_when_it_was_not_heard_for_longer_than_it_may_be(attendance: Attendance) -> None:
    watch(attendance, 100, 104)
    attendance.heard("b", 0, 104 * S, 104 * S)
    watch(attendance, 104, 110)
    assert attendance.overdue(0, HOMES, 110 * S) == []
    assert attendance.overdue(0, HOMES, 110 * S + 1) == ["a"]
    watch(attendance, 110, 115)
    assert attendance.overdue(0, HOMES, 115 * S) == ["a", "b"]
    assert attendance.overdue(1, HOMES, 115 * S) == ["c"]
    assert attendance.quietest_us() == 100 * S


def test_a_silent_bed_is_told_again_only_after_it_was_heard(attendance: Attendance) -> None:
    attendance.silent("a")
    watch(attendance, 100, 150)
    assert attendance.overdue(0, HOMES, 150 * S) == ["b"]
    attendance.heard("a", 0, 150 * S, 150 * S)
    watch(attendance, 150, 161)
    assert attendance.overdue(0, HOMES, 161 * S) == ["a", "b"]


def test_a_clock_that_is_ahead_hides_no_silence(attendance: Attendance) -> None:
    attendance.heard("a", 0, 900 * S, 100 * S)
    watch(attendance, 100, 111)
    assert attendance.overdue(0, HOMES, 111 * S) == ["a", "b"]


def test_an_outage_does_not_count(attendance: Attendance) -> None:
    watch(attendance, 100, 101)
    watch(attendance, 101, 160, 1)  # only of partition 0 nothing is known until 160
    watch(attendance, 160, 165)
    assert attendance.overdue(0, HOMES, 165 * S) == []
    assert attendance.overdue(1, HOMES, 165 * S) == ["c"]
    attendance.heard("b", 0, 165 * S, 165 * S)
    watch(attendance, 165, 169)
    assert attendance.overdue(0, HOMES, 169 * S) == ["a"]
    watch(attendance, 169, 176)
    assert attendance.overdue(0, HOMES, 176 * S) == ["a", "b"]


@given(st.lists(st.floats(0.001, 120.0), min_size=1, max_size=40).filter(lambda gaps: sum(gaps) > 0.1))
def test_however_often_kafka_comes_and_goes_silence_is_told_in_the_end(gaps: list[float]) -> None:
    attendance = Attendance(SILENT_AFTER_S)
    attendance.answers(0, 0.0)
    attendance.heard("a", 0, 0, 0)
    now = counted = 0.0
    for gap in itertools.cycle(gaps):
        now += gap
        counted += min(gap, LONGEST_S)
        attendance.answers(0, now)
        told = attendance.overdue(0, HOMES, int(now * S))
        assert (
            bool(told) == (counted >= SILENT_AFTER_S and now > SILENT_AFTER_S) or abs(counted - SILENT_AFTER_S) < 1e-6
        )
        if told or counted > SILENT_AFTER_S + 2 * LONGEST_S:
            break
    assert told == ["a"]


def test_what_another_worker_heard_counts_at_once_and_nothing_is_left_of_beds_given_up(attendance: Attendance) -> None:
    attendance.silent("a")
    attendance.clear()
    assert attendance.quietest_us() is None
    assert attendance.overdue(0, HOMES, 999 * S) == []
    attendance.restored("a", 100 * S, 150 * S, silent=False)
    attendance.restored("b", 100 * S, 150 * S, silent=True)
    attendance.restored("c", 145 * S, 150 * S, silent=False)
    attendance.answers(0, 150.0)
    assert attendance.overdue(0, HOMES, 150 * S) == ["a"]
    assert attendance.overdue(1, HOMES, 150 * S) == []
