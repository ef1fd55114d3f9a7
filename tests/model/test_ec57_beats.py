"""Beat-by-beat comparison: properties, then every rule on a case small enough to do by hand."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.ec57 import CLASS_OF, LABELS, Annotations, BeatTable, Pairs, Period, gross, match, pair, tabulate
from tests.model.ec57_cases import RATE, WINDOW, beats, mixed, parse

LATER = 10**6  # after every annotation of a test
ALL = Period(0, LATER, WINDOW)


def table(reference: str, test: str, period: Period = ALL) -> BeatTable:
    return tabulate(pair(parse(reference), parse(test), period), RATE)


def cells(of: BeatTable) -> dict[str, int]:
    """The cells that are not 0, by names such as Nn, Vo and On."""
    return {
        row + column.lower(): int(of.counts[i, j])
        for i, row in enumerate(LABELS)
        for j, column in enumerate(LABELS)
        if of.counts[i, j]
    }


def is_beat(of: Annotations) -> list[int]:
    return [int(s) for s, symbol in zip(of.samples, of.symbols, strict=True) if symbol in CLASS_OF]


# --- properties


@given(mixed())
def test_an_annotator_agrees_with_himself(same: Annotations) -> None:
    result = tabulate(pair(same, same, ALL), RATE)
    assert not set(cells(result)) - {"Nn", "Ss", "Vv", "Ff", "Qq"}
    assert not result.offsets_ms.any()
    assert result.rr_error_ms in (None, 0.0)


@given(beats(), beats(), st.integers(0, 4000))
def test_every_reference_beat_of_the_period_is_counted_once(ref: Annotations, test: Annotations, start: int) -> None:
    pairs = pair(ref, test, Period(start, LATER, WINDOW))
    expected = [i for i, sample in enumerate(ref.samples) if sample >= start]
    assert [i for i in pairs.reference.tolist() if i >= 0] == expected
    found = [j for j in pairs.test.tolist() if j >= 0]
    assert found == sorted(set(found))
    if start == 0:
        assert found == list(range(len(test)))


@given(beats(), beats())
def test_the_roles_can_be_changed(ref: Annotations, test: Annotations) -> None:
    forth, back = pair(ref, test, ALL), pair(test, ref, ALL)
    np.testing.assert_array_equal(tabulate(forth, RATE).counts, tabulate(back, RATE).counts.T)
    np.testing.assert_array_equal(forth.offsets, -back.offsets)


@given(beats(), beats(), st.integers(0, 4000))
def test_pairs_lie_within_the_window_and_do_not_cross(ref: Annotations, test: Annotations, start: int) -> None:
    pairs = pair(ref, test, Period(start, LATER, WINDOW))
    both = (pairs.reference >= 0) & (pairs.test >= 0)
    i, j = pairs.reference[both], pairs.test[both]
    assert (np.abs(test.samples[j] - ref.samples[i]) <= WINDOW).all()
    assert (np.diff(i) > 0).all()
    assert (np.diff(j) > 0).all()
    np.testing.assert_array_equal(test.samples[j] - ref.samples[i], pairs.offsets)


@given(beats(smallest_gap=2 * WINDOW + 1), st.integers(-WINDOW, WINDOW))
def test_a_shift_within_the_window_loses_no_beat(ref: Annotations, shift: int) -> None:
    test = Annotations.of(ref.samples + shift, ref.symbols)
    pairs = pair(ref, test, ALL)
    assert pairs.offsets.tolist() == [shift] * len(ref)
    assert len(pairs.reference) == len(ref)


@given(beats(smallest_gap=WINDOW + 1), st.data())
def test_beats_left_out_are_the_beats_missed(ref: Annotations, data: st.DataObject) -> None:
    kept = data.draw(st.lists(st.booleans(), min_size=len(ref), max_size=len(ref)))
    chosen = np.flatnonzero(kept)
    test = Annotations.of(ref.samples[chosen], [ref.symbols[i] for i in chosen])
    result = tabulate(pair(ref, test, ALL), RATE)
    assert (result.true_positives, result.false_negatives, result.false_positives) == (
        len(chosen),
        len(ref) - len(chosen),
        0,
    )


@given(mixed(), mixed())
def test_labels_do_not_change_which_beats_are_found(ref: Annotations, test: Annotations) -> None:
    plain = Annotations.of(test.samples, ["N" if s in CLASS_OF else s for s in test.symbols], test.subtypes, test.notes)
    a, b = pair(ref, test, ALL), pair(ref, plain, ALL)
    np.testing.assert_array_equal(a.reference, b.reference)
    np.testing.assert_array_equal(a.test, b.test)


@given(st.lists(st.tuples(beats(), beats()), max_size=4))
def test_the_gross_table_is_the_sum(records: list[tuple[Annotations, Annotations]]) -> None:
    tables = [tabulate(pair(ref, test, ALL), RATE) for ref, test in records]
    total = gross(tables)
    assert total.qrs_se.hits == sum(t.qrs_se.hits for t in tables)
    assert total.qrs_se.total == sum(t.qrs_se.total for t in tables)
    assert len(total.offsets_ms) == sum(len(t.offsets_ms) for t in tables)
    assert total.rr_count == sum(t.rr_count for t in tables)


# --- which beat goes with which


def test_the_window_takes_in_its_edge() -> None:
    assert cells(table("1000N 2000N", "1054N 1946N")) == {"Nn": 2}
    # 55 samples are 153 ms: both are missed and both test beats are extra.
    assert cells(table("1000N 2000N", "1055N 1945N")) == {"No": 2, "On": 2}


def test_the_nearer_of_two_test_beats_is_taken() -> None:
    # 960 is 40 before 1000, 1010 only 10 after.
    assert cells(table("1000N", "960V 1010N")) == {"Nn": 1, "Ov": 1}
    assert cells(table("1000N", "990N 1030V")) == {"Nn": 1, "Ov": 1}


def test_the_nearer_of_two_reference_beats_is_taken() -> None:
    # 1040 lies 40 after 1000 and 10 before 1050.
    assert cells(table("1000V 1050N", "1040N")) == {"Nn": 1, "Vo": 1}


def test_a_tie_is_settled_by_the_successors() -> None:
    # 128 is 32 from 96 and from 160; as 185 is nearer to 160 (25), 160 is not for 128: both pairs are made.
    pairs = pair(parse("96N 160N"), parse("128N 185N"), Period(0, LATER, 37))
    assert pairs.offsets.tolist() == [32, 25]
    # The same in mirror image, with the test annotator the earlier one.
    pairs = pair(parse("128N 185N"), parse("96N 160N"), Period(0, LATER, 37))
    assert pairs.offsets.tolist() == [-32, -25]


def test_a_test_beat_before_the_period_may_go_with_its_first_reference_beat() -> None:
    period = Period(1000, LATER, WINDOW)
    assert cells(table("500N 1010V 1500N", "500N 990V 1500N", period)) == {"Vv": 1, "Nn": 1}
    # 940 is 70 away from 1010: out of the period and out of the window.
    assert cells(table("500N 1010V 1500N", "500N 940V 1500N", period)) == {"Vo": 1, "Nn": 1}


def test_a_test_beat_after_the_start_of_the_period_may_belong_to_a_beat_before_it() -> None:
    period = Period(1000, LATER, WINDOW)
    assert cells(table("990N 1300N", "1010N 1300N", period)) == {"Nn": 1}
    # More than a window into the period it is an extra beat whatever lies before.
    assert cells(table("990N 1400N", "1060N 1400N", period)) == {"Nn": 1, "On": 1}


def test_the_period_ends_with_the_last_reference_beat_when_its_length_is_unknown() -> None:
    assert cells(table("100N 500N", "100N 510N 900N", Period(0, None, WINDOW))) == {"Nn": 2}
    assert cells(table("100N 500N", "100N 510N 900N", Period(0, 1000, WINDOW))) == {"Nn": 2, "On": 1}


def test_beats_after_the_period_are_not_counted() -> None:
    assert cells(table("100N 500N 2000N", "100N 500N 1900V", Period(0, 1000, WINDOW))) == {"Nn": 2}


def test_every_wfdb_beat_symbol_has_its_class() -> None:
    symbols = {"N": "NLRB", "S": "SAaJejn", "V": "VEr", "F": "F", "Q": "Q/f?"}
    assert {s: c for c, many in symbols.items() for s in many} == CLASS_OF
    assert cells(table("100L 500A 900r 1300F 1700/ 2100|", "100N 500S 900V 1300F 1700Q 2100+(N")) == {
        "Nn": 1, "Ss": 1, "Vv": 1, "Ff": 1, "Qq": 1,
    }  # fmt: skip


# --- fibrillation and shutdown


def test_test_beats_in_reference_fibrillation_do_not_count() -> None:
    # 1000, 1500 and 2000 lie in the fibrillation, its ends included; 2001 does not.
    assert cells(table("500N 1000[ 1400! 2000] 2500N", "500N 1000V 1500V 2000V 2001V 2500N")) == {"Nn": 2, "Ov": 1}


def test_reference_beats_in_reference_fibrillation_do_not_count() -> None:
    assert cells(table("500N 1000[ 1400V 2000] 2500N", "500N 2500N")) == {"Nn": 2}


def test_reference_beats_in_test_fibrillation_are_missed() -> None:
    assert cells(table("500N 1400V 2500N", "500N 1000[ 1400V 2000] 2500N")) == {"Nn": 2, "Vo": 1}


def test_fibrillation_without_an_end_lasts() -> None:
    assert cells(table("500N 1000[ 1400!", "500N 1400N 9000N")) == {"Nn": 1}


def test_beats_missed_in_shutdown_are_told_apart() -> None:
    result = table("500N 1500V 2500N 3500N", "500N 1000~48 2000~0 3500N", Period(0, 3600, WINDOW))
    assert cells(result) == {"Nn": 2, "Vx": 1, "No": 1}
    assert result.qrs_se == (2, 4)
    assert result.qrs_se_readable == (2, 3)
    assert result.missed_in_shutdown == (1, 4)
    assert result.shutdown_s == pytest.approx(1000 / 360)
    assert result.period_s == pytest.approx(10.0)


def test_a_beat_found_in_shutdown_is_found() -> None:
    assert cells(table("500N 1500V 2500N", "500N 1000~48 2000~0 2500N")) == {"Nn": 2, "Vx": 1}
    assert cells(table("500N 2040V 2500N", "500N 1000~48 2050~0 2060V 2500N")) == {"Nn": 2, "Vv": 1}


def test_one_readable_signal_is_no_shutdown() -> None:
    assert cells(table("500N 1500N", "500N 1000~16 2000~0")) == {"Nn": 1, "No": 1}


def test_extra_beats_in_reference_shutdown_are_told_apart() -> None:
    result = table("500N 1000~48 2000~0 2500N", "500N 1500N 2500N")
    assert cells(result) == {"Nn": 2, "Xn": 1}
    assert result.qrs_ppv == (2, 3)


def test_a_lone_shutdown_mark_reaches_to_its_neighbours() -> None:
    # From 54 after the beat at 500 to 54 before the beat at 2500: 554 to 2446, 1892 samples.
    result = table("500N 553V 1500V 2447V 2500N", "500N 1200~48 2500N")
    assert cells(result) == {"Nn": 2, "Vx": 1, "Vo": 2}
    assert result.shutdown_s == pytest.approx(1892 / RATE)


@pytest.mark.parametrize("subtype", [0x03, 0x0F, 0x12, 0x21])
def test_what_lies_in_declared_noise_counts_and_is_told_apart(subtype: int) -> None:
    """Both signals noisy or unreadable, not both unreadable: what is missed in it is not missed in shutdown."""
    result = table("500N 900N 1300N 1700N 2100N", f"500N 700~{subtype} 900N 1000N 1500~1 1700N 2100N 2200N")
    assert cells(result) == {"Nn": 4, "No": 1, "On": 2}
    assert cells(result.clear) == {"Nn": 3, "On": 1}
    assert result.noise_s == pytest.approx(800 / RATE)
    assert result.shutdown_s == 0.0


def test_a_lone_shutdown_mark_without_room_is_no_shutdown() -> None:
    # One window after 500 is 554, one before 590 is 536: nothing lies between them, least of all the beat at 536.
    result = table("500N 536V 590N", "500N 560~48 590N")
    assert cells(result) == {"Nn": 2, "Vo": 1}
    assert result.shutdown_s == 0.0
    assert cells(table("500N 560~48 590N", "500N 536V 590N")) == {"Nn": 2, "Ov": 1}


def test_a_beat_in_the_first_sample_counts() -> None:
    assert cells(table("0N 400N", "0V 400N")) == {"Nv": 1, "Nn": 1}
    assert cells(table("400N", "0V 400N")) == {"Ov": 1, "Nn": 1}
    assert cells(table("40N 400N", "44N 400N", Period(30, LATER, WINDOW))) == {"Nn": 2}


def test_flutter_waves_outside_of_fibrillation_are_no_beats() -> None:
    assert cells(table("100N 300! 460N", "100N 310V 460N")) == {"Nn": 2, "Ov": 1}
    # The V is nearer to the wave than to its beat, and is that of the beat all the same.
    assert cells(table("100N 300! 330V 460N", "100N 310V 460N")) == {"Nn": 2, "Vv": 1}


def test_noise_is_seen_wherever_it_begins() -> None:
    """Within fibrillation, and right behind shutdown."""
    assert table("500N", "100[ 300~15 400] 500N 900~0").noise_s == pytest.approx(600 / RATE)
    behind = table("500N 1900N", "500N 600~48 800~15 1500~0 1900N")
    assert (behind.noise_s, behind.shutdown_s) == (900 / RATE, 200 / RATE)


@pytest.mark.parametrize("subtype", [0x01, 0x02, 0x10, 0x0C])
def test_one_good_signal_is_no_noise(subtype: int) -> None:
    assert table("500N 900N", f"400~{subtype} 500N 900N").noise_s == 0.0


def test_shutdown_is_noise_too() -> None:
    result = table("500N 900N 1300N", "500N 700~48 1200~0 1300N")
    assert result.noise_s == result.shutdown_s == pytest.approx(500 / RATE)
    assert result.clear.qrs_se == (2, 2)


def test_shutdown_without_an_end_lasts() -> None:
    result = table("500N 1500N 9000N", "500N 1000~48", Period(0, 10_000, WINDOW))
    assert cells(result) == {"Nn": 1, "Nx": 2}
    assert result.shutdown_s == pytest.approx(9000 / RATE)


def test_shutdown_counts_within_the_period_only() -> None:
    assert table("500N", "100~48 900~0", Period(600, 800, WINDOW)).shutdown_s == pytest.approx(200 / RATE)


# --- statistics


STATISTICS = {
    # what bxb calls QTP, QFN, QFP, VTP, VFN, VFP, VTN, STP, SFN, SFP: numerator, and what is added for the denominator
    "qrs_se": ("Nn Ns Nv Nf Nq Sn Ss Sv Sf Sq Vn Vs Vv Vf Vq Fn Fs Fv Ff Fq Qn Qs Qv Qf Qq",
               "No Nx So Sx Vo Vx Fo Fx Qo Qx"),
    "qrs_ppv": ("Nn Ns Nv Nf Nq Sn Ss Sv Sf Sq Vn Vs Vv Vf Vq Fn Fs Fv Ff Fq Qn Qs Qv Qf Qq",
                "On Os Ov Of Oq Xn Xs Xv Xf Xq"),
    "veb_se": ("Vv", "Vn Vs Vf Vq Vo Vx"),
    "veb_ppv": ("Vv", "Nv Sv Ov Xv"),
    "veb_fpr": ("Nv Sv Ov Xv", "Nn Ns Nf Nq Sn Ss Sf Sq Fn Fs Ff Fq Qn Qs Qf Qq On Os Of Oq Xn Xs Xf Xq"),
    "sveb_se": ("Ss", "Sn Sv Sf Sq So Sx"),
    "sveb_ppv": ("Ss", "Ns Vs Fs Os Xs"),
    "sveb_fpr": ("Ns Vs Fs Os Xs", "Nn Nv Nf Nq Vn Vv Vf Vq Fn Fv Ff Fq Qn Qv Qf Qq On Ov Of Oq Xn Xv Xf Xq"),
    "qrs_se_readable": ("Nn Ns Nv Nf Nq Sn Ss Sv Sf Sq Vn Vs Vv Vf Vq Fn Fs Fv Ff Fq Qn Qs Qv Qf Qq",
                        "No So Vo Fo Qo"),
}  # fmt: skip


@pytest.mark.parametrize("name", STATISTICS)
def test_statistics_are_made_of_the_cells_of_the_standard(name: str) -> None:
    # Each cell a power of two of its own: a sum tells which cells are in it.
    counts = 2 ** np.arange(49, dtype=np.int64).reshape(7, 7)
    of = BeatTable(counts, np.zeros(0), 0.0, 0, 0.0, 0.0, 0.0, counts)
    value = {r + c.lower(): int(counts[i, j]) for i, r in enumerate(LABELS) for j, c in enumerate(LABELS)}
    hits, others = (sum(value[cell] for cell in part.split()) for part in STATISTICS[name])
    assert getattr(of, name) == (hits, hits + others)


def test_f1_is_the_harmonic_mean() -> None:
    # 3 found, 1 missed, 2 extra: Se 3/4, +P 3/5, F1 = 2·0.75·0.6/1.35 = 2/3.
    result = table("100N 500N 900N 1300N", "100N 500N 900N 1700N 2100N")
    assert result.qrs_f1.percent == pytest.approx(200 / 3)


def test_rr_error() -> None:
    # RR 360 and 360 against 370 and 350: differences of 10 samples each, 27.8 ms.
    result = table("100N 460N 820N", "100N 470N 820N")
    assert result.rr_count == 2
    assert result.rr_error_ms == pytest.approx(10_000 / 360)


def test_rr_intervals_with_fibrillation_or_shutdown_in_them_do_not_count() -> None:
    assert table("100N 200[ 400] 460N 820N", "100N 470N 820N").rr_count == 1
    assert table("100N 460N 820N", "100N 200~48 400~0 470N 820N").rr_count == 1


def test_offsets() -> None:
    # -3, +6, +9, +12 samples at 360 Hz: median 7.5, quartiles 3.75 and 9.75.
    result = table("100N 500N 900N 1300N", "97N 506N 909N 1312N")
    assert result.offset_median_ms == pytest.approx(7.5 / 0.36)
    assert result.offset_iqr_ms == pytest.approx(6.0 / 0.36)
    assert result.offset_p95_ms == pytest.approx((9 + 0.85 * 3) / 0.36)  # of 3 6 9 12: position 2.85


def test_nothing_to_count_is_no_number() -> None:
    result = table("", "")
    for name in STATISTICS:
        assert getattr(result, name).percent is None
    assert result.rr_error_ms is None
    assert result.offset_median_ms is None
    assert result.offset_iqr_ms is None
    assert result.offset_p95_ms is None


# --- the interface


def test_match_takes_plain_arrays_and_skips_five_minutes() -> None:
    five = 300 * RATE
    ref, test = np.array([100, five + 10, five + 500]), np.array([100, five + 20, five + 1000])
    result = match(ref, "NVN", test, ["N", "V", "N"], RATE, end_s=400)
    assert cells(result) == {"Vv": 1, "No": 1, "On": 1}
    assert result.period_s == 100.0
    assert match(ref, "NVN", test, "NVN", RATE, start_s=0, end_s=400).true_positives == 2


def test_match_reads_shutdown_from_subtypes() -> None:
    result = match([100, 700], "NN", [100, 500, 900], "N~~", RATE, start_s=0, test_subtypes=[0, 48, 0])
    assert cells(result) == {"Nn": 1, "Nx": 1}


@pytest.mark.parametrize(
    "wrong",
    [
        {"ref_samples": [500, 100]},
        {"ref_symbols": "N"},
        {"rate_hz": 0},
        {"start_s": -1.0},
        {"start_s": 10.0, "end_s": 5.0},
    ],
)
def test_nonsense_is_refused(wrong: dict[str, Any]) -> None:
    right: dict[str, Any] = {
        "ref_samples": [100, 500], "ref_symbols": "NN", "test_samples": [100], "test_symbols": "N", "rate_hz": RATE,
    }  # fmt: skip
    with pytest.raises(ValueError):
        match(**{**right, **wrong})


def test_the_window_is_rounded_to_the_nearest_sample() -> None:
    # 150 ms are 37.5 samples at 250 Hz and 19.2 at 128 Hz.
    assert [Period.of(rate).window for rate in (250, 128, 360)] == [38, 19, 54]
    assert math.isclose(Period.of(128).start, 38400)


def test_pairs_point_into_the_annotations_given() -> None:
    pairs: Pairs = pair(parse("50+(N 100N 500V 900N"), parse("20|  90N 895N 1400S"), ALL)
    assert pairs.reference.tolist() == [1, 2, 3, -1]
    assert pairs.test.tolist() == [1, -1, 2, 3]
    assert [LABELS[c] for c in pairs.reference_class] == ["N", "V", "N", "O"]
    assert [LABELS[c] for c in pairs.test_class] == ["N", "O", "N", "S"]
