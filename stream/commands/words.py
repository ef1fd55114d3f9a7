"""`telebeat words`: print beats as the language says them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from stream.errors import RecordError, SettingsError


def words(
    record: Annotated[str, typer.Argument(help="a WFDB record: its name, with or without database, or a path")],
    *,
    beats: Annotated[int, typer.Option(min=1, help="how many beats to print")] = 20,
    start: Annotated[float, typer.Option("--from", min=0, help="seconds into the record")] = 0.0,
    data_dir: Annotated[Path | None, typer.Option(help="folder of WFDB databases")] = None,
    model: Annotated[Path | None, typer.Option(help="model file or folder; default: the one that ships")] = None,
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
    from rich.table import Table

    from detector.types import LEADS
    from model.dataset import listen
    from model.letters import text_of
    from model.lstm import read_words
    from model.reader import CLASSES, Reader, spell
    from model.variants import read_strip
    from model.words import FIELDS, RR, WORDS

    reader = Reader.load(model)
    strip = read_strip(_find(record, data_dir))
    samples, texts, values, levels = listen(strip)
    said = np.empty((len(samples), LEADS + FIELDS), np.int64)
    for i in range(len(samples)):
        spell(reader.weights.vocabulary, texts[i], levels[i], said[i])
    both = read_words(reader.weights.layers, said, np.isfinite(values[:, RR]))

    first = int(np.searchsorted(samples, start * strip.rate_hz))
    chosen = range(first, min(first + beats, len(samples)))
    if not chosen:
        raise SettingsError(f"{record} has no beat after {start:g} s; its last is at {_last(samples, strip.rate_hz)}")

    def level(field: int, beat: int) -> str:
        value = int(levels[beat, field])
        return "?" if value == WORDS[field].levels else str(value)

    console = Console(markup=False)
    if every:
        table = Table("word", *(f"{samples[i] / strip.rate_hz:.2f}" for i in chosen), title=f"{record}: levels")
        for lead in range(LEADS):
            table.add_row(f"shape {lead + 1}", *(str(said[i, lead]) for i in chosen))
        for field, word in enumerate(WORDS):
            table.add_row(word.name, *(level(field, i) for i in chosen))
        table.add_row("first word", *(CLASSES[int(both.first[i].argmax())] for i in chosen))
        table.add_row("last word", *(CLASSES[int(both.last[i].argmax())] for i in chosen))
    else:
        shown = [
            field
            for field, word in enumerate(WORDS)
            if word.name in ("rr", "rr/last", "rr/own", "width", "apart/usual", "p/usual", "share", "again")
        ]
        table = Table("s", "first", "p", "last", "p", "shapes", "lead 1", "lead 2", "some measured words", title=record)
        for i in chosen:
            first, last = int(both.first[i].argmax()), int(both.last[i].argmax())
            table.add_row(
                f"{samples[i] / strip.rate_hz:.2f}",
                CLASSES[first],
                f"{both.first[i, first]:.2f}",
                CLASSES[last],
                f"{both.last[i, last]:.2f}",
                " ".join(str(said[i, lead]) for lead in range(LEADS)),
                *(text_of(texts[i, lead]) for lead in range(LEADS)),
                "  ".join(f"{WORDS[field].name} {level(field, i)}" for field in shown),
            )
    console.print(table)


def _last(samples: object, rate_hz: float) -> str:
    import numpy as np

    array = np.asarray(samples)
    return f"{array[-1] / rate_hz:.1f} s" if len(array) else "nowhere"


def _find(record: str, data_dir: Path | None) -> Path:
    from stream.settings import data_dirs

    path = Path(record.removesuffix(".hea"))
    if path.with_name(path.name + ".hea").is_file():
        return path
    for folder in data_dirs(data_dir):
        found = sorted(folder.glob(f"{record}.hea")) or sorted(folder.glob(f"*/{record}.hea"))
        if found:
            return found[0].with_suffix("")
    raise RecordError(f"no record {record} in the data folders; give a path, --data-dir, or `telebeat download` it")
