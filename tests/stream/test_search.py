"""`telebeat train --search` as it is typed, on a few small hearts."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("sklearn")
pytest.importorskip("torch")

from model.evaluation import arms
from model.self_training import self_train
from model.train import TrainingConfig
from stream.errors import SettingsError
from stream.evaluate import Line
from stream.search import Difference, Try, difference, tries_of
from stream.search import rows as rows_of
from tests.stream.test_cross_validate import data, made, run

pytestmark = pytest.mark.train
__all__ = ["data", "made"]  # fixtures

TRIES = "[as-given]\n[other-seed]\nseed = 8\n[the-same]\n[more-words]\nclusters = 5\nngrams = 20\n"


def rows(file: Path) -> list[dict[str, str]]:
    with file.open(encoding="utf-8") as table:
        return list(csv.DictReader(table))


def test_each_try_is_a_row_and_the_same_search_goes_on(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (data / "tries.toml").write_text(TRIES)
    how = ("--cross-validate", "2", "--search", data / "tries.toml", "--csv", data / "t.csv", "--work", data / "work")
    result = run(data, *how)
    assert result.exit_code == 0, result.output
    table = rows(data / "t.csv")
    assert [row["name"] for row in table] == ["as-given", "other-seed", "the-same", "more-words"]
    assert [row["meaning"] for row in table][-2:] == ["nothing changed", "clusters = 5, ngrams = 20"]
    assert [(row["seed"], row["clusters"], row["members"]) for row in table[1::2]] == [("8", "4", "1"), ("7", "5", "1")]
    told = [{k: v for k, v in row.items() if k not in ("name", "meaning")} for row in table]
    assert told[0] == told[2]
    assert all(name in result.output for name in ("other-seed", "more-words"))

    def trained(*_: Any, **__: Any) -> None:
        raise AssertionError("it was trained anew")

    monkeypatch.setattr(arms, "self_train", trained)
    again = run(data, *how)
    assert again.exit_code == 0, again.output
    assert rows(data / "t.csv") == table


def test_what_is_known_is_kept_if_a_search_ends_early(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (data / "tries.toml").write_text("[first]\n[second]\nseed = 8\n")
    whole = self_train

    def fails_later(passages: Any, config: TrainingConfig, **more: Any) -> Any:
        if config.seed == 8 + 1:  # the second try's second fold
            raise KeyboardInterrupt
        return whole(passages, config, **more)

    monkeypatch.setattr(arms, "self_train", fails_later)
    how = ("--cross-validate", "2", "--search", data / "tries.toml", "--csv", data / "t.csv")
    assert run(data, *how).exit_code == 130
    assert [row["name"] for row in rows(data / "t.csv")] == ["first"]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "nothing to try"),
        ("clusters = 5\n", "stands in no table"),
        ("[a]\nclusters = 1\n", "a\\].*clusters"),
        ("[a]\nclusters = 'many'\n", "must be like 64"),
        ("[a]\nclumps = 5\n", "no value of TrainingConfig"),
        ("[a]\nvariants = ['plain']\n", "the same for all tries"),
        ('["../a"]\n', "of letters"),
        ("[a\n", "no TOML"),
    ],
)
def test_what_cannot_be_tried_is_told_before_anything_is_analysed(text: str, reason: str, tmp_path: Path) -> None:
    (tmp_path / "tries.toml").write_text(text)
    with pytest.raises(SettingsError, match=reason):
        tries_of(tmp_path / "tries.toml", TrainingConfig())


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (("--search", "t.toml"), "in how many parts"),
        (("--search", "t.toml", "--cross-validate", "2", "--json", "x.json"), "goes to --csv"),
        (("--cross-validate", "2", "--csv", "x.csv"), "give that, too"),
        (("--search", "nowhere.toml", "--cross-validate", "2"), "cannot read"),
    ],
)
def test_what_does_not_go_together_is_told(words: tuple[str, ...], reason: str, data: Path) -> None:
    result = run(data, *words)
    assert isinstance(result.exception, SettingsError)
    assert reason in str(result.exception)


def test_tries_are_compared_fold_by_fold() -> None:
    def line(*folds: tuple[float | None, float | None]) -> Line:
        return Line("", "", {}, [{"veb_f1": v, "sveb_f1": s} for v, s in folds])

    first = line((90.0, 60.0), (50.0, 20.0), (None, 10.0))
    assert difference(first, first) == Difference(0.0, 0.0)
    apart = difference(line((91.0, 61.0), (53.0, 23.0), (80.0, 10.0)), first)  # where one is not known nothing is
    assert apart.mean == 2.0
    assert apart.spread == pytest.approx(2.0**0.5)
    assert difference(line((None, None), (None, None), (None, None)), first) == Difference(None, None)


def test_the_table_has_the_differences_and_the_configurations() -> None:
    config = TrainingConfig()
    lines = [Line(name, "", {"veb_f1": v}, [{"veb_f1": v, "sveb_f1": v}] * 2) for name, v in (("a", 50.0), ("b", 53.0))]
    table = rows_of(lines, [Try("a", "", config), Try("b", "", config), Try("c", "", config)])
    assert [(row["name"], row["difference"], row["difference_sd"]) for row in table] == [
        ("a", 0.0, 0.0),
        ("b", 3.0, 0.0),
    ]
    assert table[1]["clusters"] == config.clusters


def test_what_only_the_data_tell_is_an_error_with_a_name(data: Path) -> None:
    (data / "tries.toml").write_text("[first]\n[many]\nclusters = 4096\n")
    result = run(data, "--cross-validate", "2", "--search", data / "tries.toml", "--csv", data / "t.csv")
    assert isinstance(result.exception, SettingsError)
    assert "[many] cannot be trained" in str(result.exception)
    assert [row["name"] for row in rows(data / "t.csv")] == ["first"]
