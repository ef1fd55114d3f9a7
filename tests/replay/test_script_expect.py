"""The alerts that a script calls for."""

from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from replay.script import builtin, load, render
from replay.script_expect import Expected
from replay.script_judge import Raised, judge
from replay.script_language import Script
from stream.wire import Rule
from tests.replay.test_script import play
from tests.replay.test_script_language import scripts

LABELS = {rule.label for rule in Rule}
PHYSIOLOGICAL = {rule.label for rule in Rule if rule < Rule.LEAD_OFF}


@pytest.mark.parametrize(
    ("lines", "must", "may"),
    [
        (["sinus 72 for 60 s"], set(), set()),
        (["pvc every 4 beats in sinus 75 for 40 s", "couplet", "sinus 75 for 20 s"], set(), set()),
        (["pac every 5 beats in sinus 70 for 60 s", "af 90 for 60 s"], set(), set()),
        (["bigeminy 70 for 30 s", "trigeminy 76 for 30 s"], set(), set()),
        (["sinus 70 for 20 s", "pause 2.8 s", "sinus 70 for 20 s"], {"pause"}, {"extreme_bradycardia"}),
        (["sinus 70 for 20 s", "pause 5 s", "sinus 70 for 20 s"], {"asystole"}, {"pause", "extreme_bradycardia"}),
        (
            ["sinus 70 for 20 s", "asystole for 8 s", "sinus 70 for 20 s"],
            {"asystole"},
            {"pause", "extreme_bradycardia"},
        ),
        (["sinus 80 for 20 s", "triplet", "sinus 80 for 20 s"], {"ventricular_run"}, set()),
        (
            ["sinus 80 for 20 s", "salvo 6", "sinus 80 for 20 s"],
            {"ventricular_tachycardia"},
            {"ventricular_run", "extreme_tachycardia"},
        ),
        (
            ["sinus 80 for 20 s", "vt 180 for 15 s", "sinus 80 for 20 s"],
            {"ventricular_tachycardia"},
            {"ventricular_run", "extreme_tachycardia"},
        ),
        (
            ["sinus 80 for 20 s", "vf for 12 s", "vf fine for 8 s", "sinus 80 for 20 s"],
            {"ventricular_fibrillation"},
            PHYSIOLOGICAL - {"ventricular_fibrillation"},
        ),
        (["svt 190 for 30 s", "sinus 80 for 20 s"], {"extreme_tachycardia"}, set()),
        (["sinus 160 for 30 s", "sinus 80 for 20 s"], {"extreme_tachycardia"}, set()),
        (["sinus 138 for 40 s"], set(), {"extreme_tachycardia"}),
        (["sinus 60 for 20 s", "junctional 34 for 30 s", "sinus 60 for 20 s"], {"extreme_bradycardia"}, {"pause"}),
        (
            ["sinus 60 for 20 s", "block third 33 for 30 s", "sinus 60 for 20 s"],
            {"extreme_bradycardia"},
            {"pause", "ventricular_run"},
        ),
        (["sinus 70 for 30 s with leadoff V1 from 5 s for 6 s"], {"lead_off"}, set()),
        (["sinus 70 for 30 s with leadoff V1 from 5 s for 1 s"], set(), {"lead_off"}),
        (["sinus 70 for 30 s with leadoff V1 from 5 s for 0.3 s"], set(), set()),
        (["sinus 70 for 30 s with leadoff all from 5 s for 6 s"], {"lead_off", "unmonitored"}, set()),
        (["sinus 70 for 30 s with flat II from 5 s for 8 s"], {"flat_line"}, set()),
        (["sinus 70 for 30 s with saturated II from 5 s for 8 s"], {"saturated"}, {"flat_line"}),
        (["sinus 70 for 30 s with noise muscle 0 dB"], set(), {"noisy", "unmonitored"}),
        (["sinus 70 for 30 s with noise muscle 15 dB"], set(), {"noisy"}),
        # Nobody can be asked to see an asystole without electrodes.
        (
            ["sinus 70 for 9 s", "asystole for 8 s with leadoff all", "sinus 70 for 20 s"],
            {"lead_off", "unmonitored"},
            {"asystole", "pause", "extreme_bradycardia"},
        ),
    ],
)
def test_a_course_calls_for_these_alerts(lines: list[str], must: set[str], may: set[str]) -> None:
    found = play(*lines).expected
    assert {e.rule for e in found if e.required} == must
    assert {e.rule for e in found} - must <= may


def test_times_are_those_of_the_course() -> None:
    (alert,) = (e for e in play("sinus 60 for 20 s", "asystole for 10 s", "sinus 60 for 40 s").expected if e.required)
    assert 18.4 <= alert.onset[0] <= 19.5
    assert alert.raised_by == pytest.approx(alert.onset[0] + 0.5 + 4 + 3)
    assert alert.cleared_by == pytest.approx(45, abs=0.1)


def test_a_fibrillation_must_be_told_within_ten_seconds() -> None:
    (alert,) = (e for e in play("sinus 80 for 20 s", "vf for 30 s", "sinus 80 for 9 s").expected if e.required)
    assert alert.raised_by == 30
    assert alert.cleared_by is None


def test_the_ward_of_built_in_patients_calls_for_every_alert() -> None:
    called = {e.rule for name in builtin() for e in load(name).expected if e.required}
    assert called == PHYSIOLOGICAL | {"lead_off", "flat_line", "saturated", "unmonitored"}
    assert not any(e.required for e in load("healthy").expected)


def perfect(expected: tuple[Expected, ...]) -> list[Raised]:
    """A monitor that raises what it must and no more, at the last moment allowed."""
    return [Raised(e.rule, e.onset[1], e.raised_by, e.cleared_by) for e in expected if e.required]


@settings(max_examples=20, deadline=None)
@given(scripts(longest=20.0), st.data())
def test_judging_finds_each_fault(script: Script, data: st.DataObject) -> None:
    expected = render(script).expected
    assert {e.rule for e in expected} <= LABELS
    raised = perfect(expected)
    assert judge(expected, raised).passed
    false = Raised("signal_gap", 1.0, 1.5, 2.0)
    assert judge(expected, [*raised, false]).false == (false,)
    if raised:
        left_out = data.draw(st.sampled_from(raised))
        others = [r for r in raised if r.rule != left_out.rule]
        assert {e.rule for e in judge(expected, others).missed} == {left_out.rule}


def test_an_alert_that_stays_on_is_found_and_serves_for_a_second_event() -> None:
    expected = play("sinus 80 for 20 s", "triplet", "sinus 80 for 9 s", "triplet", "sinus 80 for 60 s").expected
    first, second = (e for e in expected if e.required)
    once = Raised(first.rule, first.onset[0], first.raised_by, second.cleared_by)
    assert judge(expected, [once]).passed
    assert second.cleared_by is not None
    for cleared in (None, second.cleared_by + 1):
        assert judge(expected, [dataclasses.replace(once, cleared=cleared)]).uncleared
    assert judge(expected, [dataclasses.replace(once, decided=first.raised_by + 0.1)]).missed == (first,)
