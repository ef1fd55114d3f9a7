"""The sentence of beats beside the signal, and what each shape word looks like, as one picture.

Above: the leads of the beats that were asked for; over each R peak the class last read, under it the shape words of its
leads. Below: for each shape word the mean of the curves that are it, level 0 and QRS complex of height 1, with their
SD, how many there are, and how often the beat was read as what it mostly is.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from detector.types import LEADS, RATE
from model.codes import CLASSES
from model.spelled import CURVE, MeanBeat, Spelled
from stream.errors import RecordError, SettingsError
from stream.plot import FAINT, INK, LABEL_COLOURS
from stream.times import format_time

if TYPE_CHECKING:
    from matplotlib.axes import Axes

WIDTH_IN: Final = 15.0
ROW_S: Final = 10.0
MOST_S: Final = 60.0  # of signal: six rows
ROW_IN: Final = 1.9
AROUND_S: Final = 0.5  # of signal before the first beat and behind the last
COLUMNS: Final = 8
MOST_WORDS: Final = 64  # of those that occur, the most frequent
CELL_IN: Final = 1.25
LOW, HIGH = -1.25, 1.25  # of a mean beat
DPI: Final = 100
SCALES_MV: Final = (5.0, 2.0, 1.0, 0.5, 0.2, 0.1, 0.05)  # of which the greatest that fits is drawn beside a lead


def save(file: Path, sentence: Spelled, beats: range, words: Sequence[MeanBeat], of: str) -> None:
    """Draw both; the file's suffix chooses the kind of picture.

    Parameters
    ----------
    file : Path
    sentence : Spelled
        The record above.
    beats : range
        Which of its beats.
    words : sequence of MeanBeat
        The most frequent first.
    of : str
        What the mean beats are of.

    Raises
    ------
    SettingsError
        The beats last too long for a picture.
    RecordError
        The file cannot be written.
    """
    from matplotlib.figure import Figure  # noqa: PLC0415, only pictures need it

    begin_s, end_s = span(sentence, beats)
    rows = max(1, int(np.ceil((end_s - begin_s) / ROW_S - 1e-9)))
    shown = words[:MOST_WORDS]
    lines = -(-len(shown) // COLUMNS)
    figure = Figure(figsize=(WIDTH_IN, ROW_IN * rows + CELL_IN * lines + 0.9), layout="constrained")
    parts: Any = figure.subfigures(2, 1, height_ratios=(ROW_IN * rows + 0.4, CELL_IN * lines + 0.5))
    above, below = parts
    above.suptitle(
        f"{sentence.name}: class last read, shape words of the leads", fontsize=10, weight="bold", parse_math=False
    )
    leads = [lead for lead in range(LEADS) if np.isfinite(sentence.strip.mv_per_bit[lead])]
    for row, axes in enumerate(np.atleast_1d(above.subplots(rows, 1))):
        first_s = begin_s + ROW_S * row
        _draw_row(axes, sentence, beats, leads, first_s, min(first_s + ROW_S, end_s))
    rest = f"; {len(words) - len(shown)} rarer ones are left out" if len(words) > len(shown) else ""
    below.suptitle(f"Mean beat of each shape word ± SD, of {of}{rest}", fontsize=10, weight="bold", parse_math=False)
    cells = below.subplots(lines, COLUMNS, sharex=True, sharey=True, squeeze=False)
    for axes in cells.flat:
        axes.axis("off")
    for axes, word in zip(cells.flat, shown, strict=False):
        _draw_word(axes, word)
    try:
        figure.savefig(file, dpi=DPI, facecolor="white")
    except (OSError, ValueError) as error:
        raise RecordError(f"picture {file}: it cannot be written ({error}); name a .png, .svg or .pdf file") from error


def span(sentence: Spelled, beats: range) -> tuple[float, float]:
    """Seconds at which the picture begins and ends.

    Raises
    ------
    SettingsError
        It would be longer than `MOST_S`.
    """
    rate = sentence.strip.rate_hz
    begin_s = max(float(sentence.samples[beats[0]]) / rate - AROUND_S, 0.0)
    end_s = min(float(sentence.samples[beats[-1]]) / rate + AROUND_S, len(sentence.strip.samples) / rate)
    if end_s - begin_s > MOST_S:
        raise SettingsError(
            f"{len(beats)} beats of {sentence.name} last {end_s - begin_s:.0f} s, and a picture shows {MOST_S:g}: ask "
            "for fewer --beats"
        )
    return begin_s, end_s


def _draw_row(axes: Axes, sentence: Spelled, beats: range, leads: Sequence[int], begin_s: float, end_s: float) -> None:
    """The leads below one another, each with a height of 1, and what was said of the beats."""
    strip = sentence.strip
    first, last = round(begin_s * strip.rate_hz), round(end_s * strip.rate_hz) + 1
    mv = strip.mv[first:last]
    time = begin_s + np.arange(len(mv)) / strip.rate_hz
    for place, lead in enumerate(leads):
        seen = mv[np.isfinite(mv[:, lead]), lead]
        low, high = (float(seen.min()), float(seen.max())) if len(seen) else (0.0, 1.0)
        per_mv = 0.85 / max(high - low, 0.1)
        axes.plot(time, -place - 0.5 + per_mv * (mv[:, lead] - (low + high) / 2), color=INK, linewidth=0.8)
        _draw_scale(axes, begin_s + ROW_S + 0.06, -place - 0.5, per_mv)
        axes.text(begin_s, -place - 0.5, f"lead {lead + 1}  ", fontsize=7, color=FAINT, va="center", ha="right")
    for beat in beats:
        at = float(sentence.samples[beat]) / strip.rate_hz
        if not begin_s <= at < end_s:
            continue
        label = CLASSES[int(sentence.read.last[beat].argmax())]
        style: dict[str, Any] = {"ha": "center", "color": LABEL_COLOURS[label], "clip_on": False}
        axes.axvline(at, color=LABEL_COLOURS[label], linewidth=0.6, alpha=0.5, linestyle=(0, (2, 2)))
        axes.text(at, 0.04, label, fontsize=9, weight="bold", **style)
        shapes = " ".join(sentence.shape(beat, lead) for lead in leads)
        axes.text(at, -len(leads) - 0.02, shapes, fontsize=7, va="top", **style)
    axes.set(xlim=(begin_s, begin_s + ROW_S), ylim=(-len(leads) - 0.25, 0.3))
    axes.axis("off")
    axes.text(begin_s, 0.04, f"{format_time(begin_s)}  ", fontsize=7, color=FAINT, ha="right")


def _draw_scale(axes: Axes, at_s: float, middle: float, per_mv: float) -> None:
    """How high some millivolts are: as many as take half of a lead's height at most."""
    mv = next((step for step in SCALES_MV if step * per_mv <= 0.5), SCALES_MV[-1])
    ends = (middle - mv * per_mv / 2, middle + mv * per_mv / 2)
    axes.plot((at_s, at_s), ends, color=FAINT, linewidth=1.5, clip_on=False, solid_capstyle="butt")
    axes.text(at_s + 0.05, middle, f"{mv:g} mV", fontsize=6, color=FAINT, va="center", clip_on=False)


def _draw_word(axes: Axes, word: MeanBeat) -> None:
    """One shape word."""
    most = int(word.classes.argmax())
    colour = LABEL_COLOURS[CLASSES[most]]
    ms = CURVE * 1000.0 / RATE
    axes.axhline(0.0, color=FAINT, linewidth=0.4)
    axes.axvline(0.0, color=FAINT, linewidth=0.4)
    axes.fill_between(ms, word.mean - word.spread, word.mean + word.spread, color=colour, alpha=0.2, linewidth=0)
    axes.plot(ms, word.mean, color=colour, linewidth=1.2)
    axes.set(xlim=(ms[0], ms[-1]), ylim=(LOW, HIGH))
    share = 100.0 * word.classes[most] / max(int(word.classes.sum()), 1)
    axes.set_title(f"{word.word}: {word.count}, {CLASSES[most]} {share:.0f} %", fontsize=7, color=colour, pad=2)
