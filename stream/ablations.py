"""What `telebeat evaluate --ablations` teaches anew: planned before anything is analysed, then trained and judged."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import Progress, TaskID, TextColumn

from replay.folders import above, database_of
from stream.errors import SettingsError
from stream.evaluate import Evaluation, Line
from stream.training import configured, folder_of, load_passages, records_in, scored_subjects

if TYPE_CHECKING:
    from model.dataset import Passage
    from model.evaluation.arms import Arm
    from model.evaluation.judging import Judged
    from model.train import Round, TrainingConfig


@dataclasses.dataclass(frozen=True)
class Plan:
    """What is taught anew, and from what.

    Attributes
    ----------
    arms : sequence of Arm
    config : TrainingConfig
    data : Path
        The data folder.
    records : sequence of Path
    folds : int
    """

    arms: Sequence[Arm]
    config: TrainingConfig
    data: Path
    records: Sequence[Path]
    folds: int

    def without(self, failed: Collection[str]) -> Plan:
        """The same without records, named as ``database/record``, that cannot be analysed."""
        records = [path for path in self.records if _name(path) not in failed]
        return dataclasses.replace(self, records=records)


def arms_of(names: Sequence[str]) -> list[Arm]:
    """The arms asked for, in their order; all if none is.

    Raises
    ------
    SettingsError
        There is none of such a name.
    """
    from model.evaluation.arms import ARMS  # noqa: PLC0415 - torch is only needed to train

    if unknown := set(names) - {arm.name for arm in ARMS}:
        known = ", ".join(arm.name for arm in ARMS)
        raise SettingsError(f"--arms {', '.join(sorted(unknown))}: there are {known}")
    return [arm for arm in ARMS if not names or arm.name in names]


def planned(
    arms: Sequence[Arm],
    paths: Sequence[Path] | None,
    data_dir: Path | None,
    config: Path | None,
    folds: int,
    remark: Callable[[str], object],
) -> Plan:
    """What would be trained on the records named, or without any on what `telebeat train` analyses.

    `remark` is told of each record that cannot be read.

    Raises
    ------
    RecordError, SettingsError
        Records are missing, the configuration is wrong, or there are too few subjects for so many folds: what would
        end the work hours later.
    """
    from model.train import TrainingConfig  # noqa: PLC0415

    settings = configured(TrainingConfig(), config)
    if paths is None:
        data = folder_of(data_dir, settings)
        paths = records_in(data, settings, remark)
    else:
        data = above(paths[0].parent)
        settings = dataclasses.replace(settings, unannotated=())  # none was named
    _need(folds, scored_subjects(paths))
    return Plan(arms, settings, data, paths, folds)


def ablated(
    console: Console,
    found: Evaluation,
    plan: Plan,
    work: Path | None,
    shelf: Path | None,
    jobs: int,
    remark: Callable[[str], object],
) -> Evaluation:
    """The same evaluation with every arm trained without each fold of the subjects in turn and judged on it.

    Parameters
    ----------
    console : Console
        For a progress bar.
    found : Evaluation
    plan : Plan
    work, shelf : Path or None
        Folders where each fold's readings and the analysed records are kept.
    jobs : int
        Processes that analyse records.
    remark : callable
        Told of each record that cannot be read; it is left out.

    Raises
    ------
    SettingsError
        Too few subjects are left.
    """
    from model.evaluation.arms import ARMS  # noqa: PLC0415

    settings, parts = plan.config, plan.folds
    start_s = float(found.about["from_s"])
    material = {
        oracle: load_passages(
            console, settings, plan.data, plan.records, jobs, oracle=oracle, shelf=shelf, remark=remark
        )
        for oracle in sorted({arm.oracle for arm in plan.arms})
    }
    _need(parts, {p.subject for p in next(iter(material.values())) if p.scored})
    lines: list[Line] = []
    unseen: Judged | None = None
    with Progress(*Progress.get_default_columns(), TextColumn("{task.fields[now]}"), console=console) as bar:
        total = parts * sum(arm.rounds(material[arm.oracle], settings) for arm in plan.arms)
        task = bar.add_task("training", total=total, now="")
        for arm in plan.arms:
            line, judged = taught(arm, material[arm.oracle], settings, parts, start_s, work, (bar, task))
            lines.append(line)
            if arm is ARMS[0]:
                unseen = judged
    about = {
        **found.about,
        "folds": parts,
        "trained_on": [_name(path) for path in plan.records],  # annotated or not
        "config": dataclasses.asdict(settings),
    }
    return dataclasses.replace(found, arms=lines, about=about, unseen=unseen)


def taught(
    arm: Arm,
    passages: Sequence[Passage],
    config: TrainingConfig,
    parts: int,
    start_s: float,
    work: Path | None,
    shown: tuple[Progress, TaskID],
    said: tuple[str, str] | None = None,
) -> tuple[Line, Judged]:
    """An arm trained without each fold of the subjects in turn and judged on it: its line of a table, and all of it.

    Parameters
    ----------
    arm : Arm
    passages : sequence of Passage
    config : TrainingConfig
    parts : int
        Folds.
    start_s : float
        Of the test period.
    work : Path or None
        Folder where each fold's readings are kept.
    shown : (Progress, TaskID)
        A bar that counts rounds of training, and shows them in its field `now`.
    said : (str, str), optional
        What the line is called, and its meaning, if not as the arm.
    """
    from model.evaluation.arms import run  # noqa: PLC0415
    from model.evaluation.judging import judge  # noqa: PLC0415

    name, meaning = said or (arm.name, arm.meaning)
    bar, task = shown
    done, rounds = bar.tasks[task].completed, arm.rounds(passages, config)
    plain = [p for p in passages if p.kind == "plain"]
    judged: list[Judged] = []
    readings = {}

    def told(line: Round) -> None:
        now = f"{name}, fold {len(judged) + 1}, round {line.epoch}: score {line.score:.3f}"
        bar.update(task, advance=1, now=now)

    bar.update(task, now=name)
    for reading in run(arm, passages, config, parts, work, told):
        readings.update(reading)
        judged.append(judge(plain, reading, start_s))
        bar.update(task, completed=done + rounds * len(judged))  # kept readings have no rounds
    together = judge(plain, readings, start_s)
    return Line.of(name, meaning, together, judged), together


def _need(folds: int, subjects: Collection[str]) -> None:
    """See that each fold has two subjects at least: one whose heart fails would say nothing of a fold."""
    if len(subjects) < 2 * folds:
        raise SettingsError(
            f"{len(subjects)} subjects do not make {folds} folds of two or more; name more subjects or give fewer "
            "--folds"
        )


def _name(path: Path) -> str:
    return f"{database_of(path.parent)}/{path.name}"
