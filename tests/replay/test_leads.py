"""Lead names become standard ids, and signals that are no ECG are told."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from replay.leads import MILLIVOLTS, PREFIX, UNSPECIFIED, code, codes, is_ecg, is_unscaled
from stream.frames import MAX_LEADS, Frame, check


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("MLII", "II"),
        ("I", "I"),
        ("ii", "II"),
        ("III", "III"),
        ("avr", "AVR"),
        ("aVL", "AVL"),
        ("AVF", "AVF"),
        ("V1", "V1"),
        ("v6", "V6"),
        ("V4R", "V4R"),
        ("V", "V"),
        ("vx", "X"),
        ("D3", "III"),
        ("DII", "II"),
        ("MCL1", "MCL1"),
        ("mod.V1", "V1"),
        ("CM5", "CM5"),
        ("CC5", "CC5"),
        ("CS5", "CS5"),
        ("A-S", "AS"),
        ("E-S", "ES"),
        ("ECG lead II", "II"),
        ("ECG II", "II"),
        ("lead V5", "V5"),
        ("chest lead V1", "V1"),
        ("chest V2", "V2"),
        ("MDC_ECG_LEAD_AVF", "AVF"),
    ],
)
def test_known_names(name: str, expected: str) -> None:
    assert code(name) == PREFIX + expected


@pytest.mark.parametrize("name", ["ECG", "ECG1", "ECG0", "noise1", "", "chan 3", "Lead", "42"])
def test_names_without_electrodes(name: str) -> None:
    assert code(name) == UNSPECIFIED


@pytest.mark.parametrize(
    ("end", "expected"),
    [("II", "II"), ("dI", "dI"), ("CONFIG_2", "CONFIG_2"), ("V3R", "V3R"), ("X" * 16, "X" * 16), ("ECG II", "II"),
     ("", "CONFIG"), ("X" * 17, "CONFIG"), ("II, x", "CONFIG"), ("ä", "CONFIG"), ("II\t", "II"), ("II\n", "II")],
)  # fmt: skip
def test_what_begins_as_an_id_is_one_only_if_a_frame_can_carry_it(end: str, expected: str) -> None:
    assert code(PREFIX + end) == PREFIX + expected


@given(st.lists(st.one_of(st.just("X" * 16), st.text(max_size=40)).map(lambda end: PREFIX + end), max_size=MAX_LEADS))
def test_ids_fit_into_frames(names: list[str]) -> None:
    if found := codes(names):
        check(Frame("bed", 0, 0, 0, 0, 250_000, found, (0.005,) * len(found), bytes(2 * len(found))))


@given(st.lists(st.one_of(st.sampled_from(["MLII", "II", "ECG", "V1", "MDC_ECG_LEAD_II_2", ""]), st.text(max_size=8))))
def test_ids_of_a_record_differ(names: list[str]) -> None:
    result = codes(names)
    assert len(set(result)) == len(names)
    assert all(found.startswith(code(name)) for found, name in zip(result, names, strict=True))


@given(st.text(max_size=12), st.sampled_from(["", " ", "-", "_", "."]))
def test_case_and_separators_do_not_matter(name: str, separator: str) -> None:
    if name.isascii() and not name.startswith(PREFIX):
        assert code(separator + name.upper()) == code(name.lower())


OTHERS = "ABP ART PLETH PLETH-L RESP Resp-chest EEG-Fpz-Cz EOG EMG-chin BP CVP PAP SpO2 SO2 CO2 MARKER"


def test_other_signals_are_no_ecg() -> None:
    assert [name for name in OTHERS.split() if is_ecg(name, "mV") or is_ecg(name.replace("-", " "), "mV")] == []


@pytest.mark.parametrize("name", ["MLII", "ECG", "V1", "noise1", "", "AVR", "BRAVO", "A-I", "chan 1", "Particular"])
def test_whatever_is_in_volts_may_be_an_ecg(name: str) -> None:
    assert all(is_ecg(name, unit) for unit in ("mV", "uV", "µV", "V", "", "MV"))
    assert not any(is_ecg(name, unit) for unit in ("mmHg", "%", "NU", "bpm", "l/min"))


def test_a_chest_has_leads_and_a_belt() -> None:
    assert all(is_ecg(name, "mV") for name in ("chest lead V1", "Chest V1", "chest_ECG", "chest-lead", "chest C4"))
    assert not any(
        is_ecg(name, "mV") for name in ("chest", "Chest", "chest resp", "chest 1", "chest volume", "chest-2")
    )


def test_units_written_out() -> None:
    sizes = {"millivolt": 1.0, "Millivolts": 1.0, "mVolt": 1.0, "microvolt": 1e-3, "microvolts": 1e-3, "volts": 1e3}
    assert all(is_ecg("II", unit) and MILLIVOLTS[unit.lower()] == size for unit, size in sizes.items())


def test_units_that_tell_no_size() -> None:
    assert all(is_unscaled("II", unit) for unit in ("NU", "adu", "ADU", "LSB"))
    assert not any(is_unscaled(name, unit) for name, unit in (("PLETH", "NU"), ("II", "mV"), ("II", "mmHg")))
