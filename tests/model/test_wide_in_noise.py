"""Ventricular beats amid moving electrodes: what is mixed, and what is counted."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.qrs_runs import amid_noise
from benchmarks.wide_in_noise import FIGURES, PERIOD, figures_of, show
from model.bench import Case, judge
from model.ec57 import Annotations
from model.strip import Strip

RATE = 250.0
START_S = 300


def case(symbols: str) -> Case:
    """A heart of one beat a second for a minute after the five minutes that are not scored."""
    samples = (np.arange(START_S + 60) * RATE + 100).astype(np.int64)
    kinds = "N" * START_S + symbols
    mv = 0.01 * np.random.default_rng(0).standard_normal((int((START_S + 60) * RATE), 2))
    for sample in samples:
        mv[sample - 5 : sample + 5] += 1.0
    return Case("mitdb", "1", Strip.of_mv(mv, RATE), Annotations.of(samples, list(kinds)))


def test_noise_begins_after_five_minutes_at_the_ratio_asked_for() -> None:
    clean = case("N" * 60)
    noise_mv = np.cumsum(np.random.default_rng(1).standard_normal((int(60 * RATE), 2)), axis=0) * 0.01
    mixed = {db: amid_noise(clean, Strip.of_mv(noise_mv, RATE), db).strip.mv - clean.strip.mv for db in (12, 0)}
    first = int(START_S * RATE)
    for added in mixed.values():
        np.testing.assert_allclose(added[:first], 0.0, atol=0.01)
    assert np.std(mixed[0][first:]) == pytest.approx(np.std(mixed[12][first:]) * 10 ** (12 / 20), rel=0.05)


def test_found_are_the_ventricular_beats_near_which_one_was_told(capsys: pytest.CaptureFixture[str]) -> None:
    heart_ = case("NNNV" * 15)
    told = np.delete(heart_.truth.samples, START_S + 3 + 4 * np.arange(6))  # six of them are missed
    told = np.sort(np.append(told, told[-1] + 125))
    figures = figures_of([judge(heart_, told)[PERIOD]])
    assert figures["V beats"] == 15
    assert figures["V found %"] == pytest.approx(100 * 9 / 15)
    assert figures["Se %"] == pytest.approx(100 * 54 / 60)
    assert figures["+P %"] == pytest.approx(100 * 54 / 55)
    assert figures["V found by record"] == {"min": 60.0, "median": 60.0, "max": 60.0}
    show({"rows": [{"kind": "ectopic", "db": 6, "detector": "ours", **figures}], "absent": ["theirs: not installed"]})
    shown = capsys.readouterr().out
    assert all(text in shown for text in ("60.0", *(name.split()[0] for name in FIGURES), "theirs: not installed"))
