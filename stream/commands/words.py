"""`telebeat words`: print beats as the language says them, and draw what its words look like."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, NamedTuple

import typer

from stream.commands.shared import DataDir, ModelFolder, progress
from stream.errors import SettingsError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    from rich.console import Console
    from rich.table import Table

    from model.reader import Reader
    from model.spelled import Spelled

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
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", "-o", help="also draw them beside the signal, and each shape word's mean beat: .png, .svg or .pdf"
        ),
    ] = None,
    database: Annotated[
        list[str] | None,
        typer.Option(help="databases whose records the mean beats are of, such as mitdb,svdb; default: the record"),
    ] = None,
) -> None:
    """Show a record's beats as text: curves in letters, shape words, measured words, and the class read from them.

    The letters: `.` level, `A`-`D` above, `a`-`d` below the level before the QRS, against the QRS's height; `|` parts P
    wave, QRS and T wave. A measured word is its name and level; `?` says that it cannot be told.
    """
    from rich.console import Console

    from detector.detector import update
    from model.reader import Reader
    from model.spelled import Spelled
    from model.strip import read_strip
    from replay.records import find_records, wanted
    from stream import outputs
    from stream.settings import data_dirs, load
    from stream.times import seconds
    from stream.warm import announce_compilation

    begin_s = seconds(start)
    databases = list(dict.fromkeys(wanted(database)))
    if databases and out is None:
        raise SettingsError("--database says whose mean beats are drawn; name the picture with --out")
    folders = data_dirs(data_dir)
    (path,) = find_records(folders, [record])
    more = [other for name in databases for other in find_records(folders, None, name)]
    if out is not None:
        outputs.picture(out)
    reader = Reader.load(model or load().model_dir)
    loud = Console(stderr=True, markup=False)
    announce_compilation(loud.print, update)
    spelled = Spelled.of(record, read_strip(path), reader)
    chosen = _chosen(spelled, begin_s, beats)
    if out is not None:
        from stream.word_plot import span

        span(spelled, chosen)  # it is not long before anything is printed
    console = Console(markup=False)
    if every:
        _print_levels(console, spelled, chosen)
    else:
        show(console, record, _told(spelled, chosen))
    if out is not None:
        _draw(loud, out, spelled, chosen, more, reader, databases)
        Console(markup=False, highlight=False, soft_wrap=True).print(f"wrote {out}")


def _chosen(spelled: Spelled, begin_s: float, beats: int) -> range:
    """Which beats are shown."""
    import numpy as np

    samples, rate_hz = spelled.samples, spelled.strip.rate_hz
    first = int(np.searchsorted(samples, begin_s * rate_hz))
    chosen = range(first, min(first + beats, len(samples)))
    if not chosen:
        if not len(samples):
            raise SettingsError(f"no beat is found in {spelled.name}: there is nothing to put into words")
        last_s = samples[-1] / rate_hz
        raise SettingsError(f"{spelled.name} has no beat after {begin_s:g} s; its last is at {last_s:.1f} s")
    return chosen


def _level(spelled: Spelled, field: int, beat: int) -> str:
    from model.words import WORDS

    value = int(spelled.levels[beat, field])
    return "?" if value == WORDS[field].levels else str(value)


def _told(spelled: Spelled, chosen: range) -> list[Beat]:
    """The beats as they are printed."""
    from detector.types import LEADS
    from model.codes import CLASSES
    from model.letters import text_of
    from model.words import WORDS

    def told(scores: npt.NDArray[np.float64]) -> str:
        return f"{CLASSES[int(scores.argmax())]} {scores.max():.2f}"

    return [
        Beat(
            _at(spelled, i),
            told(spelled.read.first[i]),
            told(spelled.read.last[i]),
            [spelled.shape(i, lead) for lead in range(LEADS)],
            [text_of(spelled.texts[i, lead]) for lead in range(LEADS)],
            [f"{word.name} {_level(spelled, field, i)}" for field, word in enumerate(WORDS) if word.name in SHOWN],
        )
        for i in chosen
    ]


def _print_levels(console: Console, spelled: Spelled, chosen: range) -> None:
    """All words of the beats, a line each."""
    from detector.types import LEADS
    from model.codes import CLASSES
    from model.words import WORDS

    rows = [[f"shape {lead + 1}", *(spelled.shape(i, lead) for i in chosen)] for lead in range(LEADS)]
    rows += [[word.name, *(_level(spelled, field, i) for i in chosen)] for field, word in enumerate(WORDS)]
    for name, scores in (("first word", spelled.read.first), ("last word", spelled.read.last)):
        rows.append([name, *(CLASSES[int(scores[i].argmax())] for i in chosen)])
    show_levels(console, f"{spelled.name}: levels", [_at(spelled, i) for i in chosen], rows)


def _at(spelled: Spelled, beat: int) -> str:
    return f"{spelled.samples[beat] / spelled.strip.rate_hz:.2f}"


def _draw(
    loud: Console,
    out: Path,
    spelled: Spelled,
    chosen: range,
    more: Sequence[Path],
    reader: Reader,
    databases: Sequence[str],
) -> None:
    """The picture, whose mean beats are of the record or of some databases."""
    from model.spelled import Spelled, mean_beats
    from model.strip import read_strip
    from stream.errors import RecordError
    from stream.word_plot import save

    left_out: list[str] = []

    def others() -> Iterator[Spelled]:
        with progress(loud) as bar:
            for path in bar.track(more, description="mean beats"):
                try:
                    yield Spelled.of(path.name, read_strip(path), reader)
                except RecordError as error:
                    left_out.append(str(error))
                    bar.console.print(f"left out: {error}", style="yellow", soft_wrap=True)

    of = f"{len(more)} records of {', '.join(databases)}" if more else spelled.name
    words = mean_beats(others() if more else [spelled])
    if not words:
        raise RecordError(f"no shape word is told in {of}: there is no mean beat to draw")
    save(out, spelled, chosen, words, of)
    if left_out:
        raise RecordError(f"{len(left_out)} records could not be read and are not in {out}, the first: {left_out[0]}")


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
