"""A report as one HTML file that needs nothing beside it: sections of text, tables and pictures.

`class_sections` shows how well classes are told, of beats or of anything; a command adds what is its own.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from model.evaluation.classes import ClassFigures
from stream import report_plots as plots
from stream.errors import RecordError
from stream.extras import need
from stream.figures import NOTHING, percent, share

TEMPLATES: Final = Path(__file__).parent / "templates"


@dataclass(frozen=True)
class Table:
    """Rows of text under headings.

    Attributes
    ----------
    head : sequence of str
    rows : sequence of sequence of str
    title : str
    strong : sequence of int
        Rows to stand out.
    words : sequence of int
        Columns of running text.
    """

    head: Sequence[str]
    rows: Sequence[Sequence[str]]
    title: str = ""
    strong: Sequence[int] = ()
    words: Sequence[int] = ()


@dataclass(frozen=True)
class Picture:
    """A picture in the page itself."""

    title: str
    svg: str

    @property
    def source(self) -> str:
        """Its data URI."""
        return f"data:image/svg+xml;base64,{base64.b64encode(self.svg.encode()).decode()}"


@dataclass(frozen=True)
class Section:
    """A part of a report: paragraphs, then pictures, then tables."""

    title: str
    text: Sequence[str] = ()
    tables: Sequence[Table] = ()
    pictures: Sequence[Picture] = ()


def write(file: Path, title: str, lead: Sequence[str], sections: Sequence[Section]) -> None:
    """Write a report.

    Raises
    ------
    ExtraError
        Jinja is not installed.
    RecordError
        The file cannot be written.
    """
    need("a report", "jinja2", extra="train")
    from jinja2 import Environment, FileSystemLoader, StrictUndefined  # noqa: PLC0415 - only reports need it

    pages = Environment(loader=FileSystemLoader(TEMPLATES), autoescape=True, undefined=StrictUndefined)
    page = pages.get_template("report.html").render(title=title, lead=lead, sections=sections)
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(page, encoding="utf-8")
    except OSError as error:
        raise RecordError(f"report {file} cannot be written ({error.strerror}); name another with --out") from error


def class_sections(figures: ClassFigures, cases: str = "beats", of: str = "") -> list[Section]:
    """How well each class is told: ratios and confusion, curves, calibration; `of` ends the titles."""
    rows = [
        [
            name,
            f"{figures.support[k]:,}",
            percent(figures.precision[k]),
            percent(figures.recall[k]),
            percent(figures.f1[k]),
            share(None if (curve := figures.roc[k]) is None else curve.area),
            share(None if (curve := figures.precision_recall[k]) is None else curve.area),
            share(figures.reliability[k].error),
        ]
        for k, name in enumerate(figures.classes)
    ]
    head = ("class", cases, "precision", "recall", "F1", "ROC area", "average precision", "ECE")
    confusion = Table(
        ("true \\ said", *figures.classes),
        [
            [name, *(f"{count:,}" for count in row)]
            for name, row in zip(figures.classes, figures.counts.tolist(), strict=True)
        ],
        "Confusion matrix",
    )
    calibration = Table(
        ("claimed", cases, "mean probability", "share true"),
        [
            [
                f"{k / len(figures.top.counts):.1f} to {(k + 1) / len(figures.top.counts):.1f}",
                f"{count:,}",
                share(float(figures.top.claimed[k])) if count else NOTHING,
                share(float(figures.top.true[k])) if count else NOTHING,
            ]
            for k, count in enumerate(figures.top.counts.tolist())
        ],
        "Probability of the class that was said",
    )
    total = f"Of {int(figures.counts.sum()):,} {cases}, {percent(figures.accuracy)} % are told right (accuracy); "
    return [
        Section(
            f"Classes{of}",
            [total + f"mean F1 of the classes that occur {percent(figures.macro_f1)} %."],
            [Table(head, rows, "Per cent; areas and calibration error from 0 to 1"), confusion],
            [Picture("Confusion matrix", plots.svg(plots.confusion(figures)))],
        ),
        Section(
            f"Curves{of}",
            ["Each class against the rest, over all thresholds on its probability."],
            pictures=[
                Picture("ROC curves", plots.svg(plots.roc(figures))),
                Picture("Precision-recall curves", plots.svg(plots.precision_recall(figures))),
            ],
        ),
        Section(
            f"Calibration{of}",
            [
                f"Expected calibration error of the class said: {share(figures.top.error)}. "
                "A probability is honest where its point lies on the dashed line."
            ],
            [calibration],
            [Picture("Reliability diagram", plots.svg(plots.reliability(figures)))],
        ),
    ]
