"""A stretch of a record as a strip of ECG paper, with what the ward said of it: beats, rhythm, alerts.

Drawn to scale on the usual paper, 25 mm a second and 10 mm a millivolt, in rows below one another.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

import numpy as np
import numpy.typing as npt

from replay.records import Record, read_record
from stream.annotate import RecordOutput, analyse
from stream.annotations import marks_of, read_labels
from stream.board import RHYTHMS
from stream.errors import RecordError, SettingsError
from stream.frames import INVALID
from stream.times import format_time
from stream.wire import Alert

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from stream.ward import Ward

MM_S: Final = 25.0  # paper speed
MM_MV: Final = 10.0  # gain
MM_IN: Final = 25.4
DPI: Final = 160  # a small square is six dots wide: its lines stay lines

ROW_S: Final = 10.0  # a row fits a page lying on its side
MOST_S: Final = 120.0  # twelve rows: more cannot be looked at as one picture
AFTER_S: Final = 30.0  # analysed past the end, since an alert is told after what it speaks of has begun

LEAST_MV: Final = 1.5  # height of a lead at least
MOST_MV: Final = 5.0  # and at most: an artefact shall not stretch the page
SPAN: Final = (0.05, 99.95)  # percentiles of a lead that must be seen whole
LEAST_RR_MS: Final = 320.0  # shorter ones have no room for their number between two labels
LETTER_MM: Final = 1.4  # of a text of 7 points, on average
GAP_S: Final = 0.06  # between a text and what it stands beside
MARGIN_MM: Final = 5.0
HEAD_MM: Final = 9.0
FOOT_MM: Final = 3.0
BETWEEN_MM: Final = 7.0  # two rows: the seconds stand there
LANE_MV: Final = 0.42  # height of a bar above the leads, and of the line of labels

PAPER: Final = "#fffaf7"
FINE: Final = "#f9dfd9"
COARSE: Final = "#efb9af"
INK: Final = "#1b1e27"
FAINT: Final = "#8b8f9a"
LABEL_COLOURS: Final = {"N": "#2f7d57", "S": "#c27400", "V": "#cc1f2f", "F": "#8a3fae", "Q": "#767a85"}
LABEL_NAMES: Final = {"N": "normal", "S": "supraventricular", "V": "ventricular", "F": "fusion", "Q": "unknown"}
PRIORITY_COLOURS: Final = {"high": "#cc1f2f", "medium": "#e0a100", "low": "#2c8fb0"}  # as IEC 60601-1-8 has it
PALE: Final = 0.35  # opacity of an alert that was not told yet
RHYTHM_COLOUR: Final = "#dfe6f2"
RHYTHM_INK: Final = "#45506b"


@dataclasses.dataclass(frozen=True)
class Strip:
    """What is to be drawn.

    Attributes
    ----------
    record : Record
        All of it.
    said : Said
        What the ward said, from the record's begin on.
    begin_s, seconds : float
        The stretch.
    reference : sequence of (int, str)
        Sample and symbol of an expert's annotations; empty: none are drawn.
    """

    record: Record
    said: RecordOutput
    begin_s: float
    seconds: float
    reference: Sequence[tuple[int, str]] = ()

    @property
    def rate_hz(self) -> float:
        """Sampling rate of the record."""
        return self.record.rate_mHz / 1000

    @property
    def end_s(self) -> float:
        """Where the stretch ends."""
        return self.begin_s + self.seconds


def prepare(path: Path, ward: Ward, begin_s: float, seconds: float, reference: str | None = None) -> Strip:
    """Run the ward over a record from its begin, as at the bedside, and keep what is to be drawn.

    Parameters
    ----------
    path : Path
        The record, without extension.
    ward : Ward
        Has no bed of this name; the record is forgotten at the end.
    begin_s, seconds : float
        The stretch; it is cut at the record's end.
    reference : str, optional
        Suffix of annotations to draw beside ours, such as ``atr``.

    Raises
    ------
    SettingsError
        If the stretch is not of 1 s to `MOST_S`, or begins after the record's end.
    RecordError
        If a file cannot be read.
    """
    if not 1.0 <= seconds <= MOST_S:
        raise SettingsError(f"--seconds {seconds:g}: a picture shows 1 to {MOST_S:g} s")
    record = read_record(path)
    if begin_s > record.seconds - 1.0:
        raise SettingsError(
            f"--from {format_time(begin_s)}: record {record.name} ends at {format_time(record.seconds)}"
        )
    seconds = min(seconds, record.seconds - begin_s)
    samples = round((begin_s + seconds + AFTER_S) * record.rate_mHz / 1000)
    said = analyse(dataclasses.replace(record, samples=record.samples[:samples]), ward)
    labels = () if reference is None else read_labels(path, reference, record.rate_mHz / 1000)
    return Strip(record, said, begin_s, seconds, labels)


def save(strip: Strip, file: Path) -> None:
    """Draw a strip as a picture; the file's suffix chooses its kind.

    Raises
    ------
    RecordError
        If the file cannot be written.
    """
    figure = draw(strip)
    try:
        figure.savefig(file, dpi=DPI, facecolor="white")
    except (OSError, ValueError) as error:
        raise RecordError(f"picture {file}: it cannot be written ({error}); name a .png, .svg or .pdf file") from error


def draw(strip: Strip) -> Figure:
    """The picture as a figure of matplotlib."""
    from matplotlib.figure import Figure  # noqa: PLC0415, only pictures need it

    first, last = (round(t * strip.rate_hz) for t in (strip.begin_s, strip.end_s))
    steps = np.array(strip.record.units_per_bit)
    part = strip.record.samples[first:last]
    signal = np.where(part == INVALID, np.nan, part * steps)
    offsets, tops, height = _stack(signal)
    row_s = min(ROW_S, strip.seconds)
    begins = strip.begin_s + ROW_S * np.arange(max(1, int(np.ceil(strip.seconds / ROW_S - 1e-9))))
    lanes = [_lanes(strip, begin, begin + row_s) for begin in begins]
    labels = LANE_MV * (1.15 + bool(strip.reference))
    above = [labels + LANE_MV * (1.1 + max(row.values(), default=-1) + 1) for row in lanes]

    width = MARGIN_MM + row_s * MM_S + MARGIN_MM
    tall = HEAD_MM + sum((height + more) * MM_MV + BETWEEN_MM for more in above) + FOOT_MM
    figure = Figure(figsize=(width / MM_IN, tall / MM_IN))
    y = tall - HEAD_MM
    for begin, row, more in zip(begins, lanes, above, strict=True):
        row_mm = (height + more) * MM_MV
        y -= row_mm
        axes = figure.add_axes((MARGIN_MM / width, y / tall, row_s * MM_S / width, row_mm / tall))
        axes.set(xlim=(begin, begin + row_s), ylim=(-height, more))
        _paper(axes, begin, row_s, height)
        _trace(axes, strip, signal, offsets, tops, begin)
        _labels(axes, strip, begin, begin + row_s, height)
        _bars(axes, strip, begin, begin + row_s, labels, row)
        y -= BETWEEN_MM
    _frame(figure, strip, width, tall)
    return figure


def _stack(signal: npt.NDArray[np.float64]) -> tuple[list[float], list[float], float]:
    """Where each lead has its 0 mV and its top, mV below the first one's top, and the height of all leads."""
    offsets, tops, height = [], [], 0.0
    for lead in signal.T:
        seen = lead[np.isfinite(lead)]
        low, high = np.percentile(seen, SPAN) if len(seen) else (0.0, 0.0)
        tall = min(MOST_MV, max(LEAST_MV, float(high - low) + 0.2))
        offsets.append(-height - tall / 2 - float(high + low) / 2)
        tops.append(-height)
        height += tall
    return offsets, tops, float(np.ceil(height * 2) / 2)  # ends on a thick line


def _lanes(strip: Strip, begin: float, end: float) -> dict[str, int]:
    """A lane for each alert seen in a row, by id, so that no two bars or their texts share a place."""
    free: list[float] = []
    lanes: dict[str, int] = {}
    for alert, onset, until in _alerts(strip):
        if onset >= end or until <= begin:
            continue
        bar = _Bar.of(alert, onset, until, strip.rate_hz, begin, end)
        room = _width_s(bar.text)
        left = bar.onset - room * (bar.side == "left")
        lane = next((i for i, taken in enumerate(free) if taken <= left), len(free))
        free[lane : lane + 1] = [bar.until + room * (bar.side == "right")]
        lanes[alert.id] = lane
    return lanes


@dataclasses.dataclass(frozen=True)
class _Bar:
    """An alert's bar within a row: seconds at which it begins, was told and ends; where its text finds room."""

    onset: float
    told: float
    until: float
    text: str
    side: Literal["inside", "left", "right"]

    @classmethod
    def of(cls, alert: Alert, onset: float, until: float, rate_hz: float, begin: float, end: float) -> _Bar:
        onset, until = max(onset, begin), min(until, end)
        told = min(max(alert.decided_sample / rate_hz, onset), until)
        text = f"{alert.rule.replace('_', ' ')}, {alert.priority}"
        room = _width_s(text)
        side: Literal["inside", "left", "right"] = "inside"
        if until - told <= room:
            side = "right" if end - until > room else "left"
        return cls(onset, told, until, text, side)


def _alerts(strip: Strip) -> list[tuple[Alert, float, float]]:
    """Each alert in its last state, with its onset and its end in seconds; one that still stands has no end."""
    final = {alert.id: alert for alert in strip.said.alerts}
    times = [(alert, alert.onset_sample / strip.rate_hz, _end_s(alert, strip.rate_hz)) for alert in final.values()]
    return sorted(times, key=lambda one: one[1])


def _end_s(alert: Alert, rate_hz: float) -> float:
    return float("inf") if alert.cleared_sample is None else alert.cleared_sample / rate_hz


def _paper(axes: Axes, begin: float, row_s: float, height: float) -> None:
    """Squares of 1 and 5 mm under the leads, seconds below."""
    axes.axis("off")
    axes.axhspan(-height, 0, color=PAPER, zorder=0)
    for step, colour, thick in ((1, FINE, 0.4), (5, COARSE, 0.7)):
        x = begin + np.arange(0, row_s + 1e-9, step / MM_S)
        y = -np.arange(0, height + 1e-9, step / MM_MV)
        axes.vlines(x, -height, 0, colors=colour, linewidth=thick, zorder=1)
        axes.hlines(y, begin, begin + row_s, colors=colour, linewidth=thick, zorder=1)
    for second in np.arange(np.ceil(begin), begin + row_s + 1e-9):
        edge = "left" if second == begin else "right" if second >= begin + row_s else "center"
        axes.annotate(
            format_time(float(second)), (second, -height), (0, -3), textcoords="offset points",
            ha=edge, va="top", fontsize=6.5, color=FAINT,
        )  # fmt: skip


def _trace(
    axes: Axes,
    strip: Strip,
    signal: npt.NDArray[np.float64],
    offsets: Sequence[float],
    tops: Sequence[float],
    begin: float,
) -> None:
    """The leads, with their names."""
    first = round((begin - strip.begin_s) * strip.rate_hz)
    last = min(len(signal), first + round(ROW_S * strip.rate_hz) + 1)
    x = strip.begin_s + np.arange(first, last) / strip.rate_hz
    for lead, name in enumerate(strip.record.leads):
        axes.plot(x, signal[first:last, lead] + offsets[lead], color=INK, linewidth=0.85, zorder=4)
        short = name.removeprefix("MDC_ECG_LEAD_")
        axes.annotate(
            short, (begin, tops[lead]), (4, -4), textcoords="offset points",
            fontsize=8, weight="bold", color=INK, va="top", zorder=3,
        )  # fmt: skip


def _labels(axes: Axes, strip: Strip, begin: float, end: float, height: float) -> None:
    """Our class of each beat over its R peak, the interval to the last one, and an expert's symbols above."""
    y = LANE_MV * 0.55
    leads = height / (height + axes.get_ylim()[1])
    for beat in strip.said.beats:
        at = beat.sample / strip.rate_hz
        if not begin <= at < end:
            continue
        colour = LABEL_COLOURS[beat.label]
        axes.vlines(at, -height, 0, colors=colour, linewidth=0.7, alpha=0.55, linestyles=(0, (2, 2)), zorder=2)
        if beat.label != "N":
            axes.axvspan(max(at - 0.1, begin), min(at + 0.16, end), ymax=leads, color=colour, alpha=0.1, lw=0)
        axes.text(at, y, beat.label, ha="center", va="center", fontsize=9, weight="bold", color=colour)
        middle = at - beat.rr_ms / 2000
        if beat.rr_ms >= LEAST_RR_MS and middle > begin + 0.15:
            axes.text(middle, y, f"{beat.rr_ms:.0f}", ha="center", va="center", fontsize=5.5, color=FAINT)
    for sample, symbol in strip.reference:
        at = sample / strip.rate_hz
        if begin <= at < end:
            axes.text(at, y + LANE_MV * 0.9, symbol, ha="center", va="center", fontsize=7.5, color=FAINT)


def _bars(axes: Axes, strip: Strip, begin: float, end: float, base: float, lanes: dict[str, int]) -> None:
    """The rhythm, and above it each alert from its onset to its end: pale until it was told, then full."""
    told = [m for m in marks_of([], [], strip.said.marks) if m.symbol in "+]"]  # as in the annotation file
    changes = [(m.sample / strip.rate_hz, m.aux) for m in told]
    ends = [at for at, _ in changes[1:]] + [float("inf")]
    for (onset, aux), until in zip(changes, ends, strict=False):  # no rhythm may have been told at all
        if not aux:
            continue  # fibrillation has ended, and what came after it nobody has told yet
        span = max(onset, begin), min(until, end)
        _bar(axes, (span[0], span[1] - GAP_S / 3), base, RHYTHM_COLOUR)
        name = RHYTHMS.get(aux, aux.removeprefix("("))
        if span[1] - span[0] > _width_s(name):
            _write(axes, span[0] + GAP_S, base, name, RHYTHM_INK)
    for alert, onset, until in _alerts(strip):
        if alert.id not in lanes:
            continue
        y = base + LANE_MV * (lanes[alert.id] + 1.1)
        colour = PRIORITY_COLOURS[alert.priority]
        bar = _Bar.of(alert, onset, until, strip.rate_hz, begin, end)
        _bar(axes, (bar.onset, bar.told), y, colour, PALE)
        _bar(axes, (bar.told, bar.until), y, colour)
        if bar.side == "inside":
            _write(axes, bar.told + GAP_S, y, bar.text, "white")
        elif bar.side == "right":
            _write(axes, bar.until + GAP_S, y, bar.text, INK)
        else:
            _write(axes, bar.onset - GAP_S, y, bar.text, INK, "right")


def _bar(axes: Axes, span: tuple[float, float], y: float, colour: str, alpha: float = 1.0) -> None:
    """A bar in the lane that begins at `y`."""
    from matplotlib.patches import Rectangle  # noqa: PLC0415, only pictures need it

    onset, until = span
    if until > onset:
        axes.add_patch(Rectangle((onset, y), until - onset, LANE_MV * 0.8, facecolor=colour, alpha=alpha, lw=0))


def _write(axes: Axes, at: float, y: float, text: str, ink: str, side: Literal["left", "right"] = "left") -> None:
    """Text in the lane that begins at `y`."""
    axes.text(at, y + LANE_MV * 0.38, text, ha=side, va="center", fontsize=7, color=ink)


def _width_s(text: str) -> float:
    """How long a stretch of paper a text in a lane takes, with a gap on both sides."""
    return len(text) * LETTER_MM / MM_S + 2 * GAP_S


def _frame(figure: Figure, strip: Strip, width: float, tall: float) -> None:
    """What it is, above; what the signs are, below."""
    middle = 1 - 5 / tall
    name = strip.record.name
    figure.text(MARGIN_MM / width, middle, name, fontsize=11, weight="bold", color=INK, va="center")
    about = f"{format_time(strip.begin_s)} to {format_time(strip.end_s)}    {strip.rate_hz:g} Hz    25 mm/s    10 mm/mV"
    figure.text((MARGIN_MM + 4 + 2.4 * len(name)) / width, middle, about, fontsize=8, color=FAINT, va="center")
    seen = {b.label for b in strip.said.beats if strip.begin_s <= b.sample / strip.rate_hz < strip.end_s}
    signs = [(label, text, LABEL_COLOURS[label]) for label, text in LABEL_NAMES.items() if label in seen]
    signs.append(("812", "RR interval, ms", FAINT))
    if _lanes(strip, strip.begin_s, strip.end_s):
        signs.append(("■", "alert, pale until it was told", PRIORITY_COLOURS["high"]))
    if strip.reference:
        signs.append(("N", "in grey above: the reference", FAINT))
    x = MARGIN_MM
    for sign, text, colour in signs:
        style: dict[str, Any] = {"fontsize": 7.5, "color": colour, "va": "center"}
        figure.text(x / width, 3.2 / tall, sign, weight="bold", **style)
        x += 1.9 * len(sign) + 1.2
        figure.text(x / width, 3.2 / tall, text, **style)
        x += LETTER_MM * len(text) + 5
