"""The pictures of a report, each drawn on axes it is given, so that a page and an overview show the same.

Figures come from `model.evaluation`; nothing is counted here.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

import numpy as np

from model.evaluation.classes import ClassFigures, Curve, Reliability
from stream.plot import FAINT, INK, LABEL_COLOURS

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Draw = Callable[["Axes"], None]

SIZE: Final = (4.8, 4.2)  # inches: two beside each other on a page
OTHER_COLOURS: Final = ("#2c5f9e", "#cc1f2f", "#2f7d57", "#c27400", "#8a3fae", "#0f8b8d", "#767a85")
RARE: Final = 20  # cases below which a class's curve says nothing: it is drawn pale
DPI: Final = 110  # of an overview: it is read on a screen


@dataclass(frozen=True)
class Bar:
    """Two figures of one thing, per cent, with their spread (SD over folds) where there is one."""

    name: str
    values: tuple[float | None, float | None]
    spread: tuple[float, float] | None = None
    strong: bool = False


def colour(classes: Sequence[str], k: int) -> str:
    """Of a class: that of its beats on a strip, or one of its own."""
    return LABEL_COLOURS.get(classes[k]) or OTHER_COLOURS[k % len(OTHER_COLOURS)]


def confusion(figures: ClassFigures) -> Draw:
    """Cases by true class and class said; shade is the share of the true class."""

    def draw(axes: Axes) -> None:
        counts = figures.counts
        shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
        axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
        for i, row in enumerate(counts.tolist()):
            for j, count in enumerate(row):
                ink = "white" if shares[i, j] > 0.5 else INK
                axes.text(j, i, f"{count:,}", ha="center", va="center", fontsize=9, color=ink)
        places = range(len(figures.classes))
        axes.set_xticks(places, figures.classes)
        axes.set_yticks(places, figures.classes)
        axes.set(xlabel="said", ylabel="true", title="Confusion")

    return draw


def _curves(
    curves: Sequence[Curve | None],
    figures: ClassFigures,
    title: str,
    x: str,
    y: str,
    area: str,
    corner: Literal["lower left", "lower right"],
) -> Draw:
    def draw(axes: Axes) -> None:
        for k, curve in enumerate(curves):
            if curve is None:
                continue
            pale = figures.support[k] < RARE
            name = f"{figures.classes[k]}  {area} {curve.area:.3f}" + (f", of {figures.support[k]}" if pale else "")
            tint = colour(figures.classes, k)
            axes.plot(curve.x, curve.y, color=tint, label=name, linewidth=1.6, alpha=0.4 if pale else 1.0)
        axes.set(xlabel=x, ylabel=y, title=title, xlim=(-0.01, 1.01), ylim=(-0.01, 1.01))
        axes.grid(color="#e6e8ee", linewidth=0.7)
        if axes.get_legend_handles_labels()[0]:
            axes.legend(fontsize=8, loc=corner, frameon=False)

    return draw


def roc(figures: ClassFigures) -> Draw:
    """ROC curve of each class."""
    return _curves(
        figures.roc, figures, "ROC, class against the rest", "false positive rate", "sensitivity", "AUC", "lower right"
    )


def precision_recall(figures: ClassFigures) -> Draw:
    """Precision over recall of each class."""
    return _curves(figures.precision_recall, figures, "Precision and recall", "recall", "precision", "AP", "lower left")


def reliability(figures: ClassFigures) -> Draw:
    """What probabilities came true: of the class said, and of each class."""

    def line(axes: Axes, found: Reliability, name: str, tint: str, *, strong: bool) -> None:
        seen = found.counts > 0
        if found.error is None:
            return
        axes.plot(
            found.claimed[seen], found.true[seen], marker="o", markersize=5 if strong else 3, color=tint,
            linewidth=2.0 if strong else 0.9, label=f"{name}  ECE {found.error:.3f}",
        )  # fmt: skip

    def draw(axes: Axes) -> None:
        axes.plot([0, 1], [0, 1], color=FAINT, linewidth=0.8, linestyle="--")
        line(axes, figures.top, "class said", INK, strong=True)
        for k, found in enumerate(figures.reliability):
            if figures.support[k] >= RARE:
                line(axes, found, figures.classes[k], colour(figures.classes, k), strong=False)
        axes.set(xlabel="probability", ylabel="share that was true", title="Calibration")
        axes.set(xlim=(-0.01, 1.01), ylim=(-0.01, 1.01))
        axes.grid(color="#e6e8ee", linewidth=0.7)
        if axes.get_legend_handles_labels()[0]:
            axes.legend(fontsize=8, loc="upper left", frameon=False)

    return draw


def bars(rows: Sequence[Bar], title: str, names: tuple[str, str]) -> Draw:
    """Two figures of each of some things, side by side: the first row is on top."""

    def draw(axes: Axes) -> None:
        places = np.arange(len(rows))
        for k, tint in enumerate((LABEL_COLOURS["V"], LABEL_COLOURS["S"])):
            values = [row.values[k] or 0.0 for row in rows]
            errors = [row.spread[k] if row.spread else 0.0 for row in rows]
            drawn = axes.barh(
                places + 0.19 * (2 * k - 1), values, 0.36, color=tint, label=names[k],
                xerr=errors if any(errors) else None, error_kw={"elinewidth": 0.9, "ecolor": INK},
            )  # fmt: skip
            for patch, row in zip(drawn, rows, strict=True):
                patch.set_alpha(1.0 if row.strong else 0.55)
        axes.set_yticks(places, [row.name for row in rows], fontsize=8)
        axes.invert_yaxis()
        axes.set(title=title, xlim=(0, 100), xlabel="F1, %")
        axes.grid(axis="x", color="#e6e8ee", linewidth=0.7)
        axes.set_axisbelow(True)
        if rows:
            axes.legend(fontsize=8, loc="upper center", bbox_to_anchor=(0.5, -0.12), ncols=2, frameon=False)

    return draw


def points(rows: Sequence[Bar], title: str, names: tuple[str, str], *, named: bool = True) -> Draw:
    """Two figures of each of many things, as points along a line of their names; or from worst to best, unnamed."""

    def draw(axes: Axes) -> None:
        for k, (tint, mark) in enumerate(((LABEL_COLOURS["V"], "o"), (LABEL_COLOURS["S"], "s"))):
            told = [(i, value) for i, row in enumerate(rows) if (value := row.values[k]) is not None]
            heights = [value for _, value in told] if named else sorted(value for _, value in told)
            places = [i for i, _ in told] if named else range(len(told))
            axes.scatter(places, heights, s=22 if named else 12, color=tint, marker=mark, label=names[k], zorder=3)
        axes.set_title(title, loc="left" if named else "center")
        axes.set(ylabel="F1, %", ylim=(-3, 103))
        axes.grid(color="#e6e8ee", linewidth=0.6)
        if named:
            axes.set_xticks(range(len(rows)), [row.name for row in rows], rotation=90, fontsize=7)
            axes.set(xlim=(-0.7, max(len(rows), 1) - 0.3))
            axes.legend(fontsize=8, loc="lower right", bbox_to_anchor=(1.0, 1.0), ncols=2, frameon=False)
        else:
            axes.set(xlabel="records that have such beats, worst first")
            axes.legend(fontsize=8, loc="lower right", frameon=False)

    return draw


def svg(draw: Draw, size: tuple[float, float] = SIZE) -> str:
    """One picture as the text of an SVG; the same figures give the same text."""
    from matplotlib import rc_context  # noqa: PLC0415 - only pictures need it

    figure = _figure(size)
    draw(figure.add_subplot())
    text = io.StringIO()
    with rc_context({"svg.hashsalt": "telebeat", "svg.fonttype": "path"}):
        figure.savefig(text, format="svg", metadata={"Date": None, "Creator": None})
    return text.getvalue()


def overview(draws: Sequence[Draw], title: str, columns: int = 3) -> Figure:
    """Some pictures on one page."""
    rows = -(-len(draws) // columns)
    figure = _figure((SIZE[0] * columns, SIZE[1] * rows + 0.5))
    figure.suptitle(title, fontsize=14, color=INK)
    for place, draw in enumerate(draws, 1):
        draw(figure.add_subplot(rows, columns, place))
    return figure


def _figure(size: tuple[float, float]) -> Figure:
    from matplotlib.figure import Figure  # noqa: PLC0415 - only pictures need it

    return Figure(figsize=size, layout="constrained", facecolor="white")
