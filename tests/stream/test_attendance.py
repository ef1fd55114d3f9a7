"""Beds that stop sending are told, each once, and an outage of Kafka is not taken for their silence."""

from __future__ import annotations

import pytest

from stream.attendance import Attendance

S = 1_000_000  # µs
HOMES = {"a": 0, "b": 0, "c": 1}


@pytest.fixture
def attendance() -> Attendance:
    """Three beds, heard at 100 s, that are silent after 10 s."""
    attendance = Attendance(10.0, outage_s=3.0)
    for bed in HOMES:
        attendance.heard(bed, 100 * S, 100 * S)
    return attendance


def test_a_bed_is_overdue_when_it_was_not_heard_for_longer_than_it_may_be(attendance: Attendance) -> None:
    attendance.heard("b", 104 * S, 104 * S)
    assert attendance.overdue(0, HOMES, 110 * S) == []
    assert attendance.overdue(0, HOMES, 110 * S + 1) == ["a"]
    assert attendance.overdue(0, HOMES, 115 * S) == ["a", "b"]
    assert attendance.overdue(1, HOMES, 115 * S) == ["c"]
    assert attendance.quietest_us() == 100 * S


def test_a_silent_bed_is_told_again_only_after_it_was_heard(attendance: Attendance) -> None:
    attendance.silent("a")
    assert attendance.overdue(0, HOMES, 200 * S) == ["b"]
    attendance.heard("a", 150 * S, 150 * S)
    assert attendance.overdue(0, HOMES, 200 * S) == ["a", "b"]


def test_a_clock_that_is_ahead_hides_no_silence(attendance: Attendance) -> None:
    attendance.heard("a", 900 * S, 105 * S)
    attendance.heard("b", 90 * S, 105 * S)  # sent long before it was read
    assert attendance.overdue(0, HOMES, 114 * S) == ["b"]
    assert attendance.overdue(0, HOMES, 116 * S) == ["a", "b"]


def test_after_an_outage_each_bed_has_its_time_again(attendance: Attendance) -> None:
    for partition, at in ((0, 104), (1, 104), (0, 107), (1, 107), (1, 109), (1, 111), (0, 160), (0, 161), (1, 112)):
        attendance.answers(partition, at, at * S)
    assert attendance.overdue(0, HOMES, 170 * S) == []
    assert attendance.overdue(1, HOMES, 170 * S) == ["c"]  # of another partition, which was never away
    attendance.heard("b", 165 * S, 165 * S)
    assert attendance.overdue(0, HOMES, 170 * S + 1) == ["a"]
    assert attendance.overdue(0, HOMES, 176 * S) == ["a", "b"]


def test_nothing_is_left_of_beds_that_were_given_up(attendance: Attendance) -> None:
    attendance.silent("a")
    attendance.answers(0, 100.0, 100 * S)
    attendance.clear()
    assert attendance.quietest_us() is None
    assert attendance.overdue(0, HOMES, 999 * S) == []
    attendance.heard("a", 100 * S, 100 * S)
    attendance.answers(0, 160.0, 160 * S)  # the first answer to a new owner is not the end of an outage
    assert attendance.overdue(0, HOMES, 165 * S) == ["a"]
