"""`telebeat words`: print beats as the language says them."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Final, NamedTuple

import typer

from stream.commands.shared import DataDir, ModelFolder
from stream.errors import SettingsError

if TYPE_CHECKING:
    import numpy.typing as npt
    from rich.console import Console
    from rich.table import Table

#: Measured words that are shown beside the curves; --all shows the rest.
SHOWN: Final = ("rr", "rr/last", "rr/own", "width", "apart/usual", "p/usual", "share", "again")
UNBOUNDED: Final = 100_000  # columns: to ask how many a table would like


class Beat(NamedTuple):
    """A beat as it is printed.

    Attributes
    ----------
    at, first, last : str
        Its time in seconds; first and last class with their probabilities.
    shapes, curves : sequence of str
        Of each lead.
    measured : sequence of str
        Words with their levels.
    """

    at: str
    first: str
    last: str
    shapes: Sequence[str]
    curves: Sequence[str]
    measured: Sequence[str]


def words(
    record: Annotated[str, typer.Argument(help="a WFDB record: its name, with or without database, or a path")],
    *,
    beats: Annotated[int, typer.Option(min=1, help="how many beats to print")] = 20,
    start: Annotated[str, typer.Option("--from", help="seconds, m:ss or h:mm:ss into the record")] = "0",
    data_dir: DataDir = None,
    model: ModelFolder = None,
    every: Annotated[
        bool, typer.Option("--all", help="all measured words, a line each, instead of the curves")
    ] = False,
) -> None:
    """Show a record's beats as text: curves in letters, shape words, measured words, and the class read from them.

    The letters: `.` level, `A`-`D` above, `a`-`d` below the level before the QRS, against the QRS's height; `|` parts P
    wave, QRS and T wave. A measured word is its name and level; `?` says that it cannot be told.
    """
    import numpy as np
    from rich.console import Console

    from detector.detector import update
    from detector.types import LEADS
    from model.codes import CLASSES
    from model.dataset import sentences_of
    from model.letters import text_of
    from model.lstm import classify_sequence
    from model.reader import Reader, spell
    from model.strip import read_strip
    from model.words import FIELDS, RR, WORDS
    from replay.records import find_records
    from stream.settings import data_dirs, load
    from stream.times import seconds
    from stream.warm import announce_compilation

    begin_s = seconds(start)
    (path,) = find_records(data_dirs(data_dir), [record])
    reader = Reader.load(model or load().model_dir)
    strip = read_strip(path)
    announce_compilation(Console(stderr=True).print, update)
    samples, texts, values, levels = sentences_of(strip)
    said = np.empty((len(samples), LEADS + FIELDS), np.int64)
    for i in range(len(samples)):
        spell(reader.weights.vocabulary, texts[i], levels[i], said[i])
    both = classify_sequence(reader.weights.layers, said, np.isfinite(values[:, RR]))

    first = int(np.searchsorted(samples, begin_s * strip.rate_hz))
    chosen = range(first, min(first + beats, len(samples)))
    if not chosen:
        if not len(samples):
            raise SettingsError(f"no beat is found in {record}: there is nothing to put into words")
        last_s = samples[-1] / strip.rate_hz
        raise SettingsError(f"{record} has no beat after {begin_s:g} s; its last is at {last_s:.1f} s")

    def level(field: int, beat: int) -> str:
        value = int(levels[beat, field])
        return "?" if value == WORDS[field].levels else str(value)

    def told(scores: npt.NDArray[np.float64]) -> str:
        return f"{CLASSES[int(scores.argmax())]} {scores.max():.2f}"

    heads = [f"{samples[i] / strip.rate_hz:.2f}" for i in chosen]
    console = Console(markup=False)
    if every:
        rows = [[f"shape {lead + 1}", *(str(said[i, lead]) for i in chosen)] for lead in range(LEADS)]
        rows += [[word.name, *(level(field, i) for i in chosen)] for field, word in enumerate(WORDS)]
        for name, scores in (("first word", both.first), ("last word", both.last)):
            rows.append([name, *(CLASSES[int(scores[i].argmax())] for i in chosen)])
        show_levels(console, f"{record}: levels", heads, rows)
        return
    shown = [
        Beat(
            head,
            told(both.first[i]),
            told(both.last[i]),
            [str(said[i, lead]) for lead in range(LEADS)],
            [text_of(texts[i, lead]) for lead in range(LEADS)],
            [f"{word.name} {level(field, i)}" for field, word in enumerate(WORDS) if word.name in SHOWN],
        )
        for head, i in zip(heads, chosen, strict=True)
    ]
    show(console, record, shown)


def show(console: Console, title: str, beats: Sequence[Beat]) -> None:
    """A row a beat; where the terminal is too narrow for it, curves and words of a beat stand below each other."""
    from rich.table import Table

    leads = [f"lead {lead + 1}" for lead in range(len(beats[0].curves))]
    table = Table("s", "first", "last", "shapes", *leads, "some measured words", title=title)
    for beat in beats:
        table.add_row(beat.at, beat.first, beat.last, " ".join(beat.shapes), *beat.curves, "  ".join(beat.measured))
    if not _fits(console, table):
        table = Table("s", "first", "last", "shapes", "curves, some measured words", title=title, show_lines=True)
        for beat in beats:
            bound = "  ".join(
                word.replace(" ", "\N{NO-BREAK SPACE}") for word in beat.measured
            )  # a word keeps its level
            below = "\n".join((*beat.curves, *textwrap.wrap(bound, len(beat.curves[0]))))
            table.add_row(beat.at, beat.first, beat.last, "\n".join(beat.shapes), below)
    console.print(table)


def show_levels(console: Console, title: str, heads: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """A row a word and a column a beat, in as many tables as the terminal's width asks for."""
    from rich.table import Table

    most = len(heads)
    while True:
        tables = []
        for begin in range(0, len(heads), most):
            table = Table("word", *heads[begin : begin + most], title=title)
            for name, *cells in rows:
                table.add_row(name, *cells[begin : begin + most])
            tables.append(table)
        if most == 1 or all(_fits(console, table) for table in tables):
            break
        most -= 1
    console.print(*tables, sep="\n")


def _fits(console: Console, table: Table) -> bool:
    """Whether a table has the room it wants; a file or pipe is made as wide as that."""
    wide = console.measure(table, options=console.options.update(width=UNBOUNDED)).maximum
    if not console.is_terminal:
        console.width = max(console.width, wide)
    return wide <= console.width
