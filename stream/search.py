"""A search among configurations of training: each is cross-validated by subject on the same folds.

What is tried is a TOML file with a table for each try, which says what is different; an empty one changes nothing:

    [as-it-ships]
    [fewer-shape-words]
    clusters = 16
    [another-seed]
    seed = 8

Whole hearts fail, so the figures of the folds lie far apart. Tries are therefore compared with the first fold by fold;
tries that differ by their seeds alone show how much of that is chance.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np
from rich.console import Console
from rich.progress import Progress, TextColumn

from model.ec57 import LEARNING_S
from stream.ablations import taught
from stream.errors import SettingsError
from stream.evaluate import Line
from stream.training import changed, values_of

if TYPE_CHECKING:
    from model.dataset import Passage
    from model.train import TrainingConfig

SAME_FOR_ALL: Final = ("databases", "variants", "unannotated")  # they decide what is analysed, which is done once
NAME: Final = re.compile(r"[A-Za-z0-9_-]+")  # of a try, and of its folder
F1S: Final = ("veb_f1", "sveb_f1")  # what tries are compared by: the mean of both


class Try(NamedTuple):
    """One configuration that is tried.

    Attributes
    ----------
    name : str
    said : str
        What is different, as the file says it.
    config : TrainingConfig
    """

    name: str
    said: str
    config: TrainingConfig


class Difference(NamedTuple):
    """Of the mean F1 of VEB and SVEB, from the first try's, fold by fold.

    Attributes
    ----------
    mean, spread : float or None
        Over the folds, and its SD; None where they cannot be told.
    """

    mean: float | None
    spread: float | None


def tries_of(file: Path, base: TrainingConfig) -> list[Try]:
    """What a file asks to try.

    Raises
    ------
    SettingsError
        It cannot be read, has no table, or one of them cannot be trained with.
    """
    tries = []
    for name, values in values_of(file).items():
        where = f"{file}, [{name}]"
        if not isinstance(values, dict):
            raise SettingsError(f"{file}: {name} stands in no table; write what is tried below its name, as [{name}]")
        if not NAME.fullmatch(name):
            raise SettingsError(f"{where}: the name of a try is of letters, digits, - and _")
        if fixed := [value for value in SAME_FOR_ALL if value in values]:
            raise SettingsError(f"{where}: {fixed[0]} is the same for all tries; change it by --config")
        config = changed(base, values, where)
        said = ", ".join(f"{key} = {value}" for key, value in values.items()) or "nothing changed"
        tries.append(Try(name, said, config))
    if not tries:
        raise SettingsError(f"{file}: there is nothing to try; write a table for each try, such as [clusters-16]")
    return tries


def search(
    console: Console, passages: Sequence[Passage], tries: Sequence[Try], parts: int, work: Path | None
) -> Iterator[Line]:
    """The line of each try, as soon as it is known, with a progress bar.

    Parameters
    ----------
    console : Console
    passages : sequence of Passage
        All records in all variants.
    tries : sequence of Try
    parts : int
        Folds.
    work : Path or None
        Folder where the readings of each try are kept: the same search goes on from there.

    Raises
    ------
    SettingsError
        One of them cannot be trained; those before it have been told.
    """
    from model.evaluation.arms import ARMS  # noqa: PLC0415 - torch is only needed to train

    whole = ARMS[0]
    with Progress(*Progress.get_default_columns(), TextColumn("{task.fields[now]}"), console=console) as bar:
        total = parts * sum(whole.rounds(passages, one.config) for one in tries)
        task = bar.add_task("training", total=total, now="")
        for one in tries:
            folder = None if work is None else work / one.name
            said = (one.name, one.said)
            try:
                line, _ = taught(whole, passages, one.config, parts, LEARNING_S, folder, (bar, task), said)
            except ValueError as error:  # what only the data tell, such as more shape words than there are texts
                raise SettingsError(f"[{one.name}] cannot be trained: {error}") from error
            yield line


def difference(line: Line, first: Line) -> Difference:
    """How much better a try is than the first; both in the same folds."""
    pairs = [(_mean_f1(a), _mean_f1(b)) for a, b in zip(line.folds, first.folds, strict=True)]
    apart = [a - b for a, b in pairs if a is not None and b is not None]
    return Difference(
        float(np.mean(apart)) if apart else None, float(np.std(apart, ddof=1)) if len(apart) > 1 else None
    )


def rows(lines: Sequence[Line], tries: Sequence[Try]) -> list[dict[str, Any]]:
    """The rows of the table that is kept, and the whole configuration of each."""
    found = []
    for line, one in zip(lines, tries, strict=False):  # a search may be ended before all were tried
        apart = difference(line, lines[0])
        told = {"difference": _rounded(apart.mean), "difference_sd": _rounded(apart.spread)}
        found.append({**line.row(), **told, **dataclasses.asdict(one.config)})
    return found


def _rounded(value: float | None) -> float | str:
    return "" if value is None else round(value, 4)


def _mean_f1(figures: Mapping[str, Any]) -> float | None:
    values = [figures[name] for name in F1S]
    return None if None in values else float(np.mean(values))
