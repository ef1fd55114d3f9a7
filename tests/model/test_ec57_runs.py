"""Run-by-run and episode-by-episode comparison, and frozen results of the reference programs' rules."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given

from model.ec57 import (
    SUPRAVENTRICULAR,
    VENTRICULAR,
    Annotations,
    EpisodeTable,
    Period,
    RunTable,
    atrial,
    compare_runs,
    pair,
    tabulate,
    ventricular,
)
from tests.model.ec57_cases import RATE, WINDOW, mixed, parse
from tests.model.ec57_cases import beats as random_beats

LATER = 10**6
ALL = Period(0, LATER, WINDOW)
REFERENCE_CASES: list[dict[str, Any]] = json.loads(Path(__file__).with_name("ec57_reference.json").read_text())


@pytest.mark.parametrize("case", REFERENCE_CASES, ids=range(len(REFERENCE_CASES)))
def test_tables_equal_those_of_the_reference_programs_rules(case: dict[str, Any]) -> None:
    """Random annotations at 100 to 1000 Hz with results of bxb's, rxr's and epicmp's rules, computed in C.

    Of rxr without the two slips that `model.ec57.runs` names: the end of a window that is not set, and the last run.
    The last 20 cases meet neither, and equal what rxr says as it is.
    """
    ref, test = parse(case["reference"]), parse(case["test"])
    period = Period(case["start"], case["end"], case["window"])
    pairs = pair(ref, test, period)
    assert tabulate(pairs, RATE).counts.tolist() == case["beats"]
    assert [pairs.rr_count, pairs.rr_squares] == case["rr"]
    if case["shutdown"] is not None:  # where the test period is the whole record: bxb counts all that there is
        assert pairs.shutdown == case["shutdown"]
    for kind, name in ((VENTRICULAR, "v_runs"), (SUPRAVENTRICULAR, "s_runs")):
        runs = compare_runs(ref, test, kind, period)
        assert [runs.by_reference.tolist(), runs.by_test.tolist()] == case[name]
    for e, name in (
        (atrial(ref, test, 1.0, period), "af"),
        (atrial(ref, test, 1.0, period, without_flutter=True), "af_x"),
        (ventricular(ref, test, 1.0, period), "vf"),
    ):
        assert [e.found, e.missed, e.right, e.wrong, e.overlap_s, e.reference_s, e.test_s] == case[name]


# --- runs


def runs(reference: str, test: str, period: Period = ALL) -> RunTable:
    return compare_runs(parse(reference), parse(test), VENTRICULAR, period)


def test_a_period_without_length_counts_nothing() -> None:
    """A record shorter than the learning period, in fibrillation all along, with a beat at its end."""
    reference, test = Annotations.of([10, 20, 15000], "+NN", [0, 0, 0], ["(AFIB", "", ""]), Annotations.of([], [])
    period = Period.of(250, start_s=60, end_s=60)
    for ours, theirs in ((reference, test), (test, reference)):
        for kind in (VENTRICULAR, SUPRAVENTRICULAR):
            table = compare_runs(ours, theirs, kind, period)
            assert not table.by_reference.any()
            assert not table.by_test.any()
        assert not tabulate(pair(ours, theirs, period), 250).counts.any()


def beats(labels: str, step: int = 200) -> str:
    """One beat a letter, `step` samples apart; a dot is no beat."""
    return " ".join(f"{step * (i + 1)}{label}" for i, label in enumerate(labels) if label != ".")


@given(random_beats(smallest_gap=2 * WINDOW + 1))
def test_an_annotator_has_his_own_runs(same: Annotations) -> None:
    for kind in (VENTRICULAR, SUPRAVENTRICULAR):
        result = compare_runs(same, same, kind, ALL)
        assert all(r.percent in (None, 100.0) for r in result.ratios().values())


@given(mixed(), mixed())
def test_runs_with_changed_roles(ref: Annotations, test: Annotations) -> None:
    for kind in (VENTRICULAR, SUPRAVENTRICULAR):
        forth, back = compare_runs(ref, test, kind, ALL), compare_runs(test, ref, kind, ALL)
        np.testing.assert_array_equal(forth.by_reference, back.by_test.T)
        np.testing.assert_array_equal(forth.by_test, back.by_reference.T)


def test_runs_by_length() -> None:
    # Reference: single, couplet, run of 3, run of 7. Test: single, couplet split up, run of 2 of 3, run of 6.
    result = runs(beats("NVNVVNVVVNVVVVVVVN"), beats("NVNVNNVVNNVVVVVVNN"))
    assert result.by_reference[1, 1] == result.by_reference[2, 1] == 1
    assert result.by_reference[3, 2] == result.by_reference[6, 6] == 1
    assert result.by_reference.sum() == 4
    ratios = result.ratios()
    assert ratios["couplet_se"] == (0, 1)
    assert ratios["short_run_se"] == (0, 1)
    assert ratios["long_run_se"] == (1, 1)
    # The test annotator's couplet lies in a reference run of 3, his long run in a long one.
    assert ratios["couplet_ppv"] == (1, 1)
    assert ratios["short_run_ppv"] == (0, 0)
    assert ratios["long_run_ppv"] == (1, 1)


def test_a_longer_run_answers_for_a_shorter_one() -> None:
    assert runs(beats("NVVNN"), beats("NVVVN")).ratios()["couplet_se"] == (1, 1)
    assert runs(beats("NVVNN"), beats("NVVVN")).ratios()["short_run_ppv"] == (0, 1)


def test_fusion_beats_count_as_ventricular_and_other_beats_end_a_run() -> None:
    assert runs(beats("NVFN"), beats("NVVN")).by_reference[2, 2] == 1
    for ending in "NSQ":
        assert runs(beats(f"NV{ending}VN"), "").by_reference[1, 0] == 2


def test_shutdown_ends_a_run() -> None:
    assert runs("200V 400V 500~48 900~0 1000V 1200N", "").by_reference[2, 0] == 1
    assert runs("200V 400V 500~16 900~0 1000V 1200N", "").by_reference[3, 0] == 1


def test_fibrillation_is_a_long_run() -> None:
    for text in ("200N 400[ 2000] 2200N", "200N 400+(VFL 2000+(N 2200N"):
        result = runs(text, beats("NNVVVVVVNNN"))
        assert result.by_reference[6, 6] == 1
        assert result.by_test[6, 6] == 1


def test_a_run_at_the_end_counts() -> None:
    assert runs(beats("NVV"), beats("NVV")).by_reference[2, 2] == 1


def test_runs_begin_in_the_period() -> None:
    # 200 N, 400 V, 600 V, 800 V: from 500 on there are two beats of the run.
    assert runs(beats("NVVVN"), "", Period(500, LATER, WINDOW)).by_reference[2, 0] == 1
    # Fibrillation that reaches into the period is a long run.
    assert runs("100[ 900] 1000N", "", Period(500, LATER, WINDOW)).by_reference[6, 0] == 1


def test_supraventricular_runs() -> None:
    result = compare_runs(parse(beats("NSSN")), parse(beats("NSSN")), SUPRAVENTRICULAR, ALL)
    assert result.by_reference[2, 2] == 1
    # In atrial fibrillation normal beats count as supraventricular, and the episode is a long run.
    af = parse("100+(AFIB 200N 400N 600N 700+(N 800N")
    assert compare_runs(af, parse(beats("NNNN")), SUPRAVENTRICULAR, ALL).by_reference[6, 0] == 1


# --- episodes


@given(mixed())
def test_an_annotator_has_his_own_episodes(same: Annotations) -> None:
    for result in (atrial(same, same, RATE, ALL), ventricular(same, same, RATE, ALL, ["(VF"])):
        assert all(r.percent is None or r.percent == pytest.approx(100.0) for r in result.ratios().values())


@given(mixed(), mixed())
def test_episodes_with_changed_roles(ref: Annotations, test: Annotations) -> None:
    for forth, back in (
        (ventricular(ref, test, RATE, ALL), ventricular(test, ref, RATE, ALL)),
        (atrial(ref, test, RATE, ALL), atrial(test, ref, RATE, ALL)),
        # With flutter among the rhythms nothing is left out, and only then the roles are alike.
        (
            atrial(ref, test, RATE, ALL, ["(AF"], without_flutter=True),
            atrial(test, ref, RATE, ALL, ["(AF"], without_flutter=True),
        ),
    ):
        assert (forth.found, forth.missed, forth.right, forth.wrong) == (
            back.right,
            back.wrong,
            back.found,
            back.missed,
        )
        assert forth.overlap_s == pytest.approx(back.overlap_s)


def test_atrial_fibrillation_by_episode_and_duration() -> None:
    # Reference 1000-3000 and 5000-6000, test 2000-4000 and 7000-8000: one of two found, overlap 1000 of 3000 each.
    result = atrial(
        parse("1000+(AFIB 3000+(N 5000+(AFIB 6000+(N"), parse("2000+(AFIB 4000+(N 7000+(AFIB 8000+(N"), 1.0, ALL
    )
    assert result == EpisodeTable(1, 1, 1, 1, 1000.0, 3000.0, 3000.0)
    assert {k: r.percent for k, r in result.ratios().items()} == pytest.approx(
        {"episode_se": 50.0, "episode_ppv": 50.0, "duration_se": 100 / 3, "duration_ppv": 100 / 3}
    )


def test_fibrillation_claimed_in_reference_flutter_is_wrong_or_left_out() -> None:
    # Flutter 1000-2000; one claim lies within, of the other 500 lie outside.
    flutter, within, beyond = parse("1000+(AFL 2000+(N"), parse("1200+(AFIB 1800+(N"), parse("1200+(AFIB 2500+(N")
    assert atrial(flutter, within, 1.0, ALL) == EpisodeTable(wrong=1, test_s=600.0)
    assert atrial(flutter, beyond, 1.0, ALL) == EpisodeTable(wrong=1, test_s=1300.0)
    assert atrial(flutter, within, 1.0, ALL, without_flutter=True) == EpisodeTable()
    assert atrial(flutter, beyond, 1.0, ALL, without_flutter=True) == EpisodeTable(wrong=1, test_s=500.0)
    for without_flutter in (False, True):
        both = atrial(flutter, beyond, 1.0, ALL, ["(AFIB", "(AFL"], without_flutter=without_flutter)
        assert both == EpisodeTable(found=1, right=1, overlap_s=800.0, reference_s=1000.0, test_s=1300.0)


def test_episodes_are_cut_to_the_period() -> None:
    result = atrial(parse("100+(AFIB 900+(N"), parse("100+(AFIB 600+(N"), 1.0, Period(500, 700, WINDOW))
    assert result == EpisodeTable(1, 0, 1, 0, 100.0, 200.0, 100.0)
    assert atrial(parse("100+(AFIB 400+(N"), parse(""), 1.0, Period(500, 700, WINDOW)) == EpisodeTable()


def test_an_episode_without_an_end_lasts() -> None:
    result = ventricular(parse("100["), parse("600[ 700]"), 1.0, Period(0, 1000, WINDOW))
    assert result == EpisodeTable(1, 0, 1, 0, 100.0, 900.0, 100.0)


def test_ventricular_fibrillation_by_rhythm_on_request() -> None:
    ref, test = parse("100+(VFL 500+(VT 900+(N"), parse("200[ 400]")
    assert ventricular(ref, test, 1.0, ALL) == EpisodeTable(wrong=1, test_s=200.0)
    assert ventricular(ref, test, 1.0, ALL, ["(VF"]) == EpisodeTable(1, 0, 1, 0, 200.0, 400.0, 200.0)
    assert ventricular(ref, test, 1.0, ALL, ["(VF", "(VT"]) == EpisodeTable(1, 0, 1, 0, 200.0, 800.0, 200.0)
