"""The live table of the demonstration: what was last said of each bed, and how long each stage took."""

from __future__ import annotations

import dataclasses
import html
import io
import re
from collections import Counter, deque
from collections.abc import Mapping, Sequence
from typing import Any, Final

from rich import box
from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from stream.tail import Event
from stream.wire import Alert, Beat, Mark, Revision

LETTERS: Final = 24  # last beats shown: half a minute at rest still fits a line of a terminal
RATE_BEATS: Final = 8  # RR intervals the shown rate is the mean of, as bedside monitors do
SHOWN_BEDS: Final = 40  # rows shown: what fits a tall terminal
PICTURE_COLUMNS: Final = 112  # of a picture: the table with two alerts of a bed, still readable in a page
BLANK: Final = "\u00a0"  # what rich writes for a space
_TEXT: Final = re.compile(r'(<text[^>]* x=")([\d.]+)("[^>]* textLength=")([\d.]+)("[^>]*>)([^<]*)</text>')

#: The frame of a picture. rich's own fetches its font from a server, which a picture in a README may not.
_PICTURE: Final = """\
<svg class="rich-terminal" viewBox="0 0 {width} {height}" xmlns="http://www.w3.org/2000/svg">
<style>
.{unique_id}-matrix {{
  font-family: ui-monospace, SFMono-Regular, Menlo, Consolas, "DejaVu Sans Mono", monospace;
  font-size: {char_height}px; line-height: {line_height}px; white-space: pre;
}}
.{unique_id}-title {{ font: bold 18px system-ui, "DejaVu Sans", sans-serif; }}
{styles}
</style>
<defs>
<clipPath id="{unique_id}-clip-terminal">
  <rect x="0" y="0" width="{terminal_width}" height="{terminal_height}"/>
</clipPath>
{lines}
</defs>
{chrome}
<g transform="translate({terminal_x}, {terminal_y})" clip-path="url(#{unique_id}-clip-terminal)">
{backgrounds}
<g class="{unique_id}-matrix">
{matrix}
</g>
</g>
</svg>
"""

#: Names of stages, in their order.
STAGES: Final = ("ingest", "queue", "detect", "classify", "publish", "frame_to_alert")

#: Rhythms as annotations name them, in words.
RHYTHMS: Final = {
    "(N": "sinus or normal",
    "(AFIB": "atrial fibrillation",
    "(AFL": "atrial flutter",
    "(SVTA": "supraventricular tachycardia",
    "(VT": "ventricular tachycardia",
    "(VFL": "ventricular flutter or fibrillation",
    "(B": "bigeminy",
    "(T": "trigeminy",
}
COLOURS: Final = {"N": "green", "S": "yellow", "V": "red", "F": "magenta", "Q": "dim"}
PRIORITIES: Final = {"high": "bold white on red", "medium": "black on yellow", "low": "cyan"}


@dataclasses.dataclass
class Bed:
    """What was last said of one bed."""

    rhythm: str = ""
    letters: deque[str] = dataclasses.field(default_factory=lambda: deque(maxlen=LETTERS))
    rr_ms: deque[float] = dataclasses.field(default_factory=lambda: deque(maxlen=RATE_BEATS))
    active: dict[str, Alert] = dataclasses.field(default_factory=dict)

    @property
    def rate(self) -> float | None:
        """Beats per minute over the last beats; None before there are two."""
        return 60_000 * len(self.rr_ms) / sum(self.rr_ms) if self.rr_ms else None


class Board:
    """Gathers what the monitor says, for the table and the totals."""

    def __init__(self) -> None:
        self.beds: dict[str, Bed] = {}
        self.beats: Counter[str] = Counter()
        self.alerts: Counter[str] = Counter()

    @property
    def standing(self) -> int:
        """Alerts that stand now."""
        return sum(len(bed.active) for bed in self.beds.values())

    def add(self, event: Event) -> None:
        """Take one event into account."""
        bed = self.beds.setdefault(event.bed, Bed())
        what = event.what
        if isinstance(what, Beat):
            self.beats[what.label] += 1
            bed.letters.append(what.label)
            if what.rr_ms > 0:
                bed.rr_ms.append(what.rr_ms)
        elif isinstance(what, Mark):
            if what.symbol == "+" and what.aux:
                bed.rhythm = RHYTHMS.get(what.aux, what.aux.removeprefix("("))
            elif what.symbol == "[":
                bed.rhythm = "ventricular fibrillation"
            elif what.symbol == "]":
                bed.rhythm = ""
        elif isinstance(what, Revision):
            pass  # the board shows what alarms act on
        elif what.state == "raised":
            self.alerts[what.rule] += 1
            bed.active[what.id] = what
        else:
            bed.active.pop(what.id, None)

    def render(self, headline: str, latency: Mapping[str, Mapping[str, Any]]) -> RenderableType:
        """The whole picture."""
        return Group(Text(headline, "bold"), self._beds(), latency_table(latency))

    def _beds(self) -> Table:
        table = Table("bed", "rhythm", "rate", "last beats", "alerts", expand=True, box=box.SIMPLE_HEAD)
        table.columns[2].justify = "right"
        table.columns[3].min_width = LETTERS
        table.columns[4].ratio = 1  # what is left: names of alerts are long
        shown = sorted(self.beds)[:SHOWN_BEDS]
        for name in shown:
            bed = self.beds[name]
            letters = Text.assemble(*((letter, COLOURS.get(letter, "")) for letter in bed.letters))
            active = sorted(bed.active.values(), key=lambda alert: list(PRIORITIES).index(alert.priority))
            alerts = Text(" ").join(Text(f" {_words(a.rule)} ", PRIORITIES[a.priority]) for a in active)
            rate = "" if bed.rate is None else f"{bed.rate:.0f}"
            table.add_row(Text(name, "bold"), Text(bed.rhythm), rate, letters, alerts)
        if len(self.beds) > len(shown):
            table.caption = f"and {len(self.beds) - len(shown)} more beds"
        return table


def latency_table(latency: Mapping[str, Mapping[str, Any]]) -> Table:
    """Percentiles in ms, a column a stage."""
    table = Table("latency, ms", *(_words(stage) for stage in STAGES), box=box.SIMPLE_HEAD)
    for column in table.columns[1:]:
        column.justify = "right"
    for quantile in ("p50", "p99"):
        table.add_row(quantile, *(_number(latency.get(stage, {}).get(quantile)) for stage in STAGES))
    return table


def summary(totals: Mapping[str, Any]) -> Sequence[RenderableType]:
    """What a run came to, for people."""
    alerts = ", ".join(f"{_words(rule)} {count}" for rule, count in sorted(totals["alerts"].items())) or "none"
    cpu = ", ".join(f"{name} {100 * share:.0f} %" for name, share in totals["cpu"].items() if share is not None)
    return (
        Text(
            f"{totals['source']}: {totals['beds']} beds for {totals['seconds']:.0f} s, {totals['frames']} frames "
            f"({totals['rejected']} rejected, {totals['lag']} not yet read), {totals['beats']} beats"
        ),
        Text(f"alerts raised: {alerts}"),
        Text(f"of one core: {cpu}"),
        latency_table(totals["latency_ms"]),
    )


def picture(shown: RenderableType) -> str:
    """What a terminal would show as an SVG picture that needs nothing else."""
    console = Console(
        record=True, width=PICTURE_COLUMNS, file=io.StringIO(), force_terminal=True, color_system="truecolor"
    )
    console.print(shown)
    drawn = console.export_svg(title="telebeat demo", code_format=_PICTURE, unique_id="telebeat")
    return _TEXT.sub(_without_blanks, drawn)


def _without_blanks(text: re.Match[str]) -> str:
    """A text moved to where its letters begin: not every viewer gives blanks at its ends their room."""
    before, x, middle, length, after, letters = text.groups()
    plain = html.unescape(letters)
    bare = plain.strip(BLANK)
    if not bare:
        return ""
    width = float(length) / len(plain)
    start = float(x) + width * (len(plain) - len(plain.lstrip(BLANK)))
    return f"{before}{start:g}{middle}{width * len(bare):g}{after}{html.escape(bare)}</text>"


def _words(name: str) -> str:
    return name.replace("_", " ")


def _number(ms: float | None) -> str:
    if ms is None:
        return ""
    return f"{ms:.2f}" if ms < 10 else f"{ms:.0f}"
