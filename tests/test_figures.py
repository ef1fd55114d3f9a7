"""Figures in the documents are those of the committed results, so that neither goes stale alone."""

from __future__ import annotations

import csv
import json
import re
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "benchmarks" / "results"
WEIGHTS: str = json.loads((ROOT / "model/weights/telebeat.json").read_text(encoding="utf-8"))["weights_blake2b"]


def result(name: str) -> Any:
    return json.loads((RESULTS / name).read_text(encoding="utf-8"))


def rows(document: str, first: str) -> list[list[float]]:
    """The numbers of each line of a document's tables that begins with a cell."""
    lines = (ROOT / document).read_text(encoding="utf-8").splitlines()
    found = [line.split("|")[2:] for line in lines if line.startswith(f"| {first} |")]
    assert found, f"{document} has no line {first!r}"
    return [[float(n) for cell in line for n in re.findall(r"(?<![\w.])-?\d+(?:\.\d+)?", cell)] for line in found]


def as_shown(shown: float, value: float) -> bool:
    """Whether a figure is a value rounded to its own digits; a last 5 may go either way."""
    digits = len(str(shown).partition(".")[2]) if shown != int(shown) else 0
    return abs(shown - value) <= 0.5 * 10.0**-digits + 1e-6


def agree(shown: list[float], values: list[float]) -> bool:
    return len(shown) == len(values) and all(map(as_shown, shown, values))


@pytest.mark.parametrize(
    "name",
    [
        "noise_on_the_ward.json",
        "classes/handheld.json",
        "classes/lifelong.json",
        "classes/rhythms.json",
        "annotate.json",
    ],
)
def test_results_are_of_the_weights_that_ship(name: str) -> None:
    assert result(name)["weights_blake2b"] == WEIGHTS


@pytest.mark.parametrize("db", [24, 12, 6, 0, -6])
def test_noise_as_the_detectors_page_has_it(db: int) -> None:
    mix = result("noise_on_the_ward.json")["mixes"][f"noise-em{'-_'[db < 0]}{abs(db)}"]
    pairs = [mix[f"{name}_{of}"] for name in ("clear", "silent") for of in ("se", "ppv")]
    alarms = [mix["alarms"][f"ventricular_{name}"] for name in ("fibrillation", "tachycardia")]
    (shown,) = rows("docs/detectors.md", str(db))
    assert agree(shown, [mix["qrs_se"], mix["qrs_ppv"], mix["declared"], *pairs, *alarms])


@pytest.mark.parametrize(
    ("first", "name"),
    [
        ("both leads, the whole monitor (`python -m benchmarks.noise_on_the_ward`)", "qrs_f1"),
        ("time declared noisy or in doubt, %", "declared"),
        ("alarms of fibrillation", "ventricular_fibrillation"),
        ("alarms of ventricular tachycardia", "ventricular_tachycardia"),
        ("VEB +P, %", "veb_ppv"),
        ("VEB Se, %", "veb_se"),
        ("atrial fibrillation told, % of the time (none of these hearts has any)", "atrial_fibrillation"),
    ],
)
def test_noise_as_the_page_of_figures_has_it(first: str, name: str) -> None:
    mixes = result("noise_on_the_ward.json")["mixes"]
    some = [mixes[f"noise-em{level}"] for level in ("-12", "-6", "-0", "_6")]
    (shown,) = rows("docs/figures.md", first)
    assert agree(shown, [mix[name] if name in mix else mix["alarms"][name] for mix in some])


RHYTHMS = {
    "atrial fibrillation `(AFIB`": "(AFIB",
    "a pacemaker `(P`": "(P",
    "atrial flutter `(AFL`": "(AFL",
    "supraventricular run `(SVTA`": "(SVTA",
    "ventricular run `(VT`": "(VT",
    "bigeminy `(B`": "(B",
    "trigeminy `(T`": "(T",
}
GROUPS = {
    "afpdb, group p": "afpdb",
    "afpdb, group n": "afpdb, group n",
    "cinc2017, fibrillation": "cinc2017, A",
    "cinc2017, normal": "cinc2017, N",
    "cinc2017, other rhythms": "cinc2017, O",
    "cpsc2021": "cpsc2021",
    "mitdb": "mitdb",
    "vfdb": "vfdb",
}


@pytest.mark.parametrize("first", RHYTHMS)
def test_what_the_rhythm_head_is_worth(first: str) -> None:
    told = result("classes/rhythms.json")["rhythms"][RHYTHMS[first]]
    values = [
        told["subjects"],
        told["head"]["beats"],
        *(told[by][of] for by in ("head", "rules") for of in ("Se", "+P")),
    ]
    (shown,) = rows("docs/model-card.md", first)
    assert agree(shown, [value for value in values if value is not None])


@pytest.mark.parametrize("first", GROUPS)
def test_fibrillation_as_the_ward_tells_it(first: str) -> None:
    told = result("classes/rhythms.json")["fibrillation"][GROUPS[first]]
    kinds = (("true", "fibrillation_s"), ("false", "other_s"))
    shares = [100 * told[f"{by}_{kind}_s"] / told[of] for by in ("head", "rule") for kind, of in kinds if told[of]]
    (shown,) = rows("docs/model-card.md", first)
    assert agree(shown, [told["records"], told["fibrillation_s"], told["other_s"], *shares])


def test_fibrillation_of_all_hearts_together() -> None:
    told = result("classes/rhythms.json")["fibrillation"].values()
    all_s = {name: sum(group[name] for group in told) for name in next(iter(told)) if name.endswith("_s")}
    head, rule = (100 * all_s[f"{by}_true_s"] / all_s["fibrillation_s"] for by in ("head", "rule"))
    false = (
        f"{all_s['head_false_s']:.0f} s of {all_s['other_s'] / 3600:.0f} h of all else ({all_s['rule_false_s']:.0f})"
    )
    card, figures = (
        " ".join((ROOT / "docs" / name).read_text(encoding="utf-8").split()) for name in ("model-card.md", "figures.md")
    )
    assert f"In all {head:.1f} % of fibrillation is told (rule: {rule:.1f}), and {false}." in card
    assert (
        f"{head:.1f} % of {all_s['fibrillation_s'] / 3600:.1f} h of fibrillation is told (RR intervals: {rule:.1f})"
        in figures
    )


def cross_validated(word: str, database: str = "", without: tuple[str, ...] = ()) -> list[float]:
    """VEB Se and +P, SVEB Se and +P over the records of a database, or all, without some."""
    records = result("classes/cross_validation.json")[word]["records"]
    some = [table for name, table in records.items() if name.startswith(database) and name not in without]
    counts = np.sum(some, axis=0)
    n, s, v, o, x = 0, 1, 2, 5, 6  # rows of the table: reference; columns: test
    veb = counts[v, v] / counts[v].sum(), counts[v, v] / counts[[n, s, v, o, x], v].sum()
    sveb = counts[s, s] / counts[s].sum(), counts[s, s] / counts[[n, s, v, 3, o, x], s].sum()
    return [100.0 * ratio for ratio in (*veb, *sveb)]


@pytest.mark.parametrize(
    ("document", "first", "word", "database"),
    [
        ("docs/model-card.md", "mitdb, 22 records", "last", "mitdb"),
        ("docs/model-card.md", "svdb, 39 records", "last", "svdb"),
        ("docs/figures.md", "those of mitdb alone", "last", "mitdb"),
        ("docs/figures.md", "the 61 with electrodes moved half of the time", "moved", ""),
    ],
)
def test_the_cross_validation(document: str, first: str, word: str, database: str) -> None:
    (shown,) = rows(document, first)
    assert agree(shown[:4], cross_validated(word, database))


def test_the_cross_validation_without_the_worst_hearts() -> None:
    worst = tuple(f"svdb/{number}" for number in (867, 822, 868, 826, 841))
    told = cross_validated("last", without=worst)
    said = "VEB {:.1f} / {:.1f} and SVEB {:.1f} / {:.1f}.".format(*told)
    assert said in " ".join((ROOT / "docs/model-card.md").read_text(encoding="utf-8").split())


def test_the_cross_validation_with_its_spread() -> None:
    told = result("classes/cross_validation.json")
    for word, first in (
        ("last", "**all 61, last word**"),
        ("first", "all 61, first word"),
        ("moved", "all 61, electrodes moved, last word"),
    ):
        (shown,) = rows("docs/model-card.md", first)
        pairs = zip(told[word]["gross"].values(), told[word]["spread"].values(), strict=True)
        assert agree(shown, [number for pair in pairs for number in pair])
    for first, part in (("VEB in hearts the network never saw: of mitdb; of mitdb and svdb", 0), ("SVEB likewise", 2)):
        (shown,) = rows("README.md", first)
        assert agree(shown[:4], [cross_validated("last", of)[part + k] for of in ("mitdb", "") for k in (0, 1)])


def accuracy(detector: str, database: str) -> list[float]:
    with (RESULTS / "detector/accuracy.csv").open(encoding="utf-8", newline="") as file:
        (row,) = (
            row
            for row in csv.DictReader(file)
            if (row["detector"], row["database"], row["period"]) == (detector, database, "from 5:00")
        )
    return [float(row[name]) for name in ("se", "ppv", "f1")]


def test_r_peaks() -> None:
    both, one = "telebeat, all leads", "telebeat"
    assert agree(rows("docs/figures.md", "the same, detector alone")[0], accuracy(both, "mitdb"))
    assert agree(rows("docs/figures.md", "the same, lead 0 alone, detector alone")[0], accuracy(one, "mitdb"))
    mixes = [f"noise-em{level}" for level in ("-12", "-6", "-0", "_6")]
    for first, detector in (("both leads, detector alone", both), ("lead 0, detector alone", one)):
        assert agree(rows("docs/figures.md", first)[0], [accuracy(detector, mix)[2] for mix in mixes])


def test_what_each_part_is_worth() -> None:
    with (RESULTS / "classes/comparison.csv").open(encoding="utf-8", newline="") as file:
        lines = {(row["how"] == "same weights", row["name"]): row for row in csv.DictReader(file)}
    for first, name in (
        ("**the whole language**", "whole"),
        ("trained on annotated hearts only", "annotated"),
        ("no shape words", "no-text"),
        ("no word that speaks of time", "no-rr"),
        ("RR and template rules", "rules"),
        ("gradient boosting on the measurements", "boosting"),
    ):
        row = lines[False, name]
        pairs = [[row[part], row[f"{part}_sd"]] for part in ("veb_se", "veb_ppv", "sveb_se", "sveb_ppv")]
        told = [*pairs[0], *pairs[1], row["veb_f1"], *pairs[2], *pairs[3], row["sveb_f1"], row["accuracy"], row["ece"]]
        (shown,) = rows("docs/model-card.md", first)
        assert agree(shown, [float(number) for number in told])
    for first, name in (
        ("as they are", "as it is"),
        ("without RR words", "no RR words"),
        ("without state", "no state"),
    ):
        row = lines[True, name]
        (shown,) = rows("docs/model-card.md", first)
        assert agree(shown, [float(row["veb_f1"]), float(row["sveb_f1"])])


def test_the_search_is_of_the_tries_that_are_there_and_shown_whole() -> None:
    with (RESULTS / "classes/search.csv").open(encoding="utf-8", newline="") as file:
        found = list(csv.DictReader(file))
    tries = tomllib.loads((ROOT / "benchmarks/search.toml").read_text(encoding="utf-8"))
    assert [row["name"] for row in found] == list(tries)
    for row in found:
        (shown,) = rows("docs/model-card.md", row["name"])
        names = ("veb_se", "veb_ppv", "veb_f1", "sveb_se", "sveb_ppv", "sveb_f1", "difference", "difference_sd")
        told = [float(row[name]) for name in names[: 6 if row is found[0] else 8]]
        assert agree(shown[-len(told) :], told)


def test_r_peaks_by_weights_of_other_subjects() -> None:
    told = result("detector/cross_validated.json")["cross-validated"]
    columns = ("mitdb", "svdb", "noise-em-12", "noise-em-6", "noise-em-0", "noise-em_6")
    for first, lead in (("both leads, weights of others", ""), ("lead 0, weights of others", ", lead 0")):
        (shown,) = rows("docs/figures.md", first)
        assert agree(shown, [told[f"{name}{lead}"]["f1"] for name in columns])
