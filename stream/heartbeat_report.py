"""What `telebeat heartbeats` says: both ways to split side by side, as a table, as JSON, and as an HTML report."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from model.evaluation.classes import ClassFigures
from model.heartbeats import Heartbeats
from stream import report
from stream.figures import NOTHING, percent

if TYPE_CHECKING:
    from model.heartbeat_train import SplitResult

RANDOM, PATIENT = "random", "patient"
WAYS: Final = {RANDOM: "by beats (customary)", PATIENT: "by patient (honest)"}
PAPER: Final = "Kachuee 2018, by beats"


@dataclass(frozen=True, eq=False)
class Result:
    """What came of one task.

    Attributes
    ----------
    beats : Heartbeats
    ways : dict of str to Judged
        By name of the way to split, those that were possible and wanted.
    why_not : str or None
        Why there is no split by patient where one was wanted.
    baselines : dict of str to Judged
        A plain baseline on the same splits.
    """

    beats: Heartbeats
    ways: dict[str, SplitResult]
    why_not: str | None = None
    baselines: dict[str, SplitResult] = field(default_factory=dict)


def figures_of(beats: Heartbeats, judged: SplitResult) -> ClassFigures:
    """How well the judged beats were told."""
    return ClassFigures.of(beats.labels[judged.chosen], judged.probabilities, beats.task.classes)


def mean_recall(figures: ClassFigures) -> float | None:
    """Accuracy if all classes that occur were equally frequent (balanced accuracy), per cent."""
    present = [value for value in figures.recall if value is not None]
    return sum(present) / len(present) if present else None


def most_frequent(figures: ClassFigures) -> float:
    """Accuracy of always saying the most frequent class, per cent."""
    return 100.0 * float(figures.support.max()) / float(max(figures.support.sum(), 1))


def of_parts(beats: Heartbeats, judged: SplitResult) -> list[float]:
    """Accuracy of each training on the beats it was judged on, per cent."""
    right = beats.labels[judged.chosen] == judged.probabilities.argmax(axis=1)
    return [100.0 * float(right[judged.parts == part].mean()) for part in np.unique(judged.parts)]


def of_records(beats: Heartbeats, judged: SplitResult) -> dict[str, tuple[int, float]]:
    """Judged beats of each record and how many per cent of them were told right."""
    if beats.records is None:
        return {}
    names = beats.records[judged.chosen]
    right = beats.labels[judged.chosen] == judged.probabilities.argmax(axis=1)
    return {
        str(name): (int((names == name).sum()), 100.0 * float(right[names == name].mean())) for name in np.unique(names)
    }


def rows(result: Result) -> list[list[str]]:
    """The table that puts the ways side by side: name, accuracy, mean recall, mean F1, each class's F1."""
    task = result.beats.task
    lines = [[PAPER, f"{task.published:.1f}", *[NOTHING] * (2 + len(task.classes))]]
    for way, name in WAYS.items():
        if way in result.ways:
            lines.append(_row(name, figures_of(result.beats, result.ways[way])))
            if way in result.baselines:
                lines.append(_row("  boosted trees on samples", figures_of(result.beats, result.baselines[way])))
            always = most_frequent(figures_of(result.beats, result.ways[way]))
            lines.append(["  always the commonest", f"{always:.2f}", *[NOTHING] * (2 + len(task.classes))])
        elif way == PATIENT and result.why_not:
            lines.append([name, "not possible", *[NOTHING] * (2 + len(task.classes))])
    return lines


def head(result: Result) -> list[str]:
    """Its headings."""
    return ["per cent", "accuracy", "mean recall", "mean F1", *(f"F1 {name}" for name in result.beats.task.classes)]


def _row(name: str, figures: ClassFigures) -> list[str]:
    values = (figures.accuracy, mean_recall(figures), figures.macro_f1, *figures.f1)
    return [name, *(percent(value) for value in values)]


def remarks(result: Result) -> list[str]:
    """What must be known to read the figures."""
    lines = list(result.beats.notes)
    if result.why_not:
        lines.append(f"No split by patient: {result.why_not}.")
    if PATIENT in result.ways:
        parts = of_parts(result.beats, result.ways[PATIENT])
        lines.append(
            f"By patient: {len(parts)} trainings, each judged on patients it has not met, accuracy "
            f"{', '.join(f'{part:.1f}' for part in parts)}; every beat is judged once."
        )
    lines.append(
        "A split by beats puts beats of one patient on both sides: it says how well known patients are read again. "
        "Only the split by patient says what to expect of a new one."
    )
    return lines


def as_dict(results: Sequence[Result]) -> dict[str, Any]:
    """Plain numbers for JSON; the part `summary` has the figures by which it is compared."""
    summary: dict[str, float | None] = {}
    tasks: dict[str, Any] = {}
    for result in results:
        task = result.beats.task
        ways = {}
        for way in WAYS:
            judged = result.ways.get(way)
            figures = figures_of(result.beats, judged) if judged else None
            summary[f"{task.name}_{way}_accuracy"] = figures.accuracy if figures else None
            summary[f"{task.name}_{way}_mean_recall"] = mean_recall(figures) if figures else None
            if judged and figures:
                ways[way] = figures.as_dict() | {
                    "mean_recall": mean_recall(figures),
                    "most_frequent": most_frequent(figures),
                    "parts": of_parts(result.beats, judged),
                    "records": {
                        name: {"beats": count, "accuracy": share}
                        for name, (count, share) in of_records(result.beats, judged).items()
                    },
                    "learning": [[asdict(line) for line in curve] for curve in judged.curves],
                }
        tasks[task.name] = {
            "source": result.beats.source,
            "beats": result.beats.counts(),
            "published_accuracy": task.published,
            "remarks": remarks(result),
            "ways": ways,
            "baselines": {
                way: {"accuracy": figures.accuracy, "mean_recall": mean_recall(figures), "macro_f1": figures.macro_f1}
                for way, judged in result.baselines.items()
                for figures in [figures_of(result.beats, judged)]
            },
        }
    return {"summary": summary, "tasks": tasks}


def write(file: Path, results: Sequence[Result], lead: Sequence[str]) -> None:
    """Write the HTML report.

    Raises
    ------
    stream.errors.ExtraError, stream.errors.RecordError
        As `stream.report.write`.
    """
    sections = []
    for result in results:
        task = result.beats.task
        counts = ", ".join(f"{count:,} {name}" for name, count in result.beats.counts().items())
        side_by_side = report.Table(head(result), rows(result), "Side by side")
        text = [f"{result.beats.source}: {len(result.beats):,} beats, {counts}.", *remarks(result)]
        sections.append(report.Section(task.title, text, [side_by_side]))
        for way, name in WAYS.items():
            if way not in result.ways:
                continue
            judged = result.ways[way]
            for section in report.class_sections(figures_of(result.beats, judged)):
                title = f"{task.title}, {name}: {section.title.lower()}"
                sections.append(report.Section(title, section.text, section.tables, section.pictures))
            if told := of_records(result.beats, judged):
                lines = [[name, f"{count:,}", f"{right:.2f}"] for name, (count, right) in told.items()]
                table = report.Table(("record", "beats", "accuracy"), lines)
                sections.append(report.Section(f"{task.title}, {name}: records", (), [table]))
    report.write(file, "telebeat heartbeats: single beats", lead, sections)
