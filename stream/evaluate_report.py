"""An evaluation as a report: what a reader wants first, then everything.

`sections` makes the pages' parts, `overview` one picture of the most telling ones.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from model.ec57 import LABELS, Score
from model.evaluation.classes import f1
from stream import outputs
from stream import report_plots as plots
from stream.both_paths import some_of
from stream.evaluate import NEW, STANDINGS, STOPPED, TRAINED, UNKNOWN, Evaluation, Line
from stream.figures import NOTHING, percent, share
from stream.report import Picture, Section, Table, class_sections

if TYPE_CHECKING:
    from matplotlib.figure import Figure

F1S: Final = ("ventricular (VEB)", "supraventricular (SVEB)")
#: How the parts of a statistic's name are written.
_WORDS: Final = {
    "qrs": "QRS", "veb": "VEB", "sveb": "SVEB", "se": "Se", "ppv": "+P", "fpr": "false positive rate", "f1": "F1",
    "v": "ventricular", "s": "supraventricular", "af": "AF", "vf": "VF",
}  # fmt: skip


def sections(found: Evaluation) -> list[Section]:
    """The report's parts."""
    return [
        _summary(found),
        _ec57(found),
        *(class_sections(found.unseen.figures, of=", subjects never seen") if found.unseen else ()),
        *class_sections(found.judged.figures, of=", this model"),
        _comparison(found),
        _records(found),
        _made(found),
    ]


def lead(found: Evaluation) -> list[str]:
    """What stands below the title."""
    about = found.about
    left_out, unscored = about.get("left_out", ()), about.get("not_scored", {})
    return [
        f"Model {about['model']} over {len(found.rows)} records ({about['hours']:.1f} h of ECG, "
        f"{int(found.score.gross.beats.counts[:5].sum()):,} reference beats scored from {about['from_s']:g} s on), "
        "on the beats that the detector found, by the code that runs at the bedside."
        + (f" Left out, since they could not be judged: {', '.join(left_out)}." if left_out else "")
        + "".join(f" Not scored: {name}, {why}." for name, why in unscored.items())
    ]


def overview(found: Evaluation) -> Figure:
    """The most telling pictures on one page."""
    figures = (found.unseen or found.judged).figures
    known = sum(row.standing in (TRAINED, STOPPED) for row in found.rows)
    beats = "each subject read by a network that has never seen it" if found.unseen else f"{known} known to the model"
    return plots.overview(
        [
            plots.confusion(figures),
            plots.roc(figures),
            plots.precision_recall(figures),
            plots.reliability(figures),
            plots.bars(_bars(_best(found)), "Subjects never seen" if found.arms else "The same weights", F1S),
            plots.points(_points(found), "This model by record", F1S, named=False),
        ],
        f"telebeat evaluate: {len(found.rows)} records, detected beats, {beats}",
    )


def write_comparison(file: Path, found: Evaluation) -> None:
    """Every line of the comparisons as CSV: what was asked of whom, its figures and the SD of the folds."""
    groups = (("same weights", found.same_weights), ("trained anew", found.arms))
    rows = [{"how": how, **line.row()} for how, lines in groups for line in lines]
    outputs.write_rows(file, rows)


def _summary(found: Evaluation) -> Section:
    rows: list[list[str]] = []
    strong: list[int] = []
    groups = [("all records", found.score), *((w, s) for w in STANDINGS if (s := found.standing(w)))]
    for name, some in groups:
        ratios = some.gross.ratios()
        veb, sveb = (f1(ratios[f"{kind}_ppv"].percent, ratios[f"{kind}_se"].percent) for kind in ("veb", "sveb"))
        cells = ("qrs_se", "qrs_ppv", "veb_se", "veb_ppv", veb, "sveb_se", "sveb_ppv", sveb)
        told = [percent(ratios[cell].percent) if isinstance(cell, str) else percent(cell) for cell in cells]
        strong += [len(rows)] if name == NEW else []
        rows.append([name, str(len(some.records)), *told])
    head = ("records", "n", "QRS Se", "+P", "VEB Se", "+P", "F1", "SVEB Se", "+P", "F1")
    text = [
        "Gross figures by ANSI/AAMI EC57, per cent. Only those of “new” records say how the model reads hearts it has "
        "never seen; the subjects it was trained on, or that decided when to stop, flatter it."
    ]
    if unknown := [row.record for row in found.rows if row.standing == UNKNOWN]:
        text.append(
            f"Of {some_of(unknown)} it is not known whether the model has seen their hearts: they are called like "
            "records it was trained on, in a folder that is not called like a database. Name the folder after it."
        )
    if found.unseen is not None:  # else the recipe that ships was not one of the arms asked for
        whole = found.arms[0]
        spread = ", ".join(
            f"{name} {percent(whole.figures[key], 1)} ± {percent(whole.spread(key), 1)}"
            for name, key in (("VEB Se", "veb_se"), ("+P", "veb_ppv"), ("SVEB Se", "sveb_se"), ("+P", "sveb_ppv"))
        )
        text.append(f"The same recipe, cross-validated by subject ({len(whole.folds)} folds, ± SD of folds): {spread}.")
    return Section("Summary", text, [Table(head, rows, strong=strong)])


def _name(statistic: str) -> str:
    return " ".join(_WORDS.get(part, part) for part in statistic.split("_"))


def _ec57(found: Evaluation) -> Section:
    score: Score = found.score
    ratios, means = score.gross.ratios(), score.average()
    rows = [
        [_name(name), percent(ratio.percent), f"{ratio.hits:,.0f} / {ratio.total:,.0f}", percent(means[name])]
        for name, ratio in ratios.items()
        if ratio.total
    ]
    beats = score.gross.beats
    rows += [
        ["RR interval error, ms (root mean square)", percent(beats.rr_error_ms, 1), "", ""],
        ["R peak offset, ms (median)", percent(beats.offset_median_ms, 1), "", ""],
        ["declared unreadable, s", percent(beats.shutdown_s, 0), f"of {beats.period_s:,.0f}", ""],
        ["declared noisy or unreadable, s", percent(beats.noise_s, 0), f"of {beats.period_s:,.0f}", ""],
    ]
    counts = [
        [label, *(f"{count:,}" for count in row)] for label, row in zip(LABELS, beats.counts.tolist(), strict=True)
    ]
    return Section(
        "EC57",
        [
            "Beat by beat, runs, and episodes of fibrillation, as `telebeat score` has them; gross: each beat counts "
            "the same, average: each record. Beats within fibrillation, declared by either side, are not counted here; "
            "all other parts of this report judge how beats are read and count those the ward has put there, too."
        ],
        [
            Table(("", "gross", "of", "average"), rows, "Per cent where nothing else is said"),
            Table(
                ("reference \\ found", *(label.lower() for label in LABELS)),
                counts,
                "Beat labels; O: no beat, X: no beat where the signal was declared unreadable",
            ),
        ],
    )


def line_cells(line: Line) -> list[str]:
    """The figures of a line, with their spread over folds where there are folds."""

    def cell(name: str) -> str:
        value, around = line.figures[name], line.spread(name)
        return percent(value, 1) + ("" if around is None else f" ± {around:.1f}")

    told = [cell(name) for name in ("veb_se", "veb_ppv", "veb_f1", "sveb_se", "sveb_ppv", "sveb_f1", "accuracy")]
    return [*told, *(percent(value, 1) for value in line.figures["f1"].values()), share(line.figures["ece"])]


#: Headings of `line_cells`.
LINE_HEAD: Final = (
    "VEB Se", "+P", "F1", "SVEB Se", "+P", "F1", "accuracy", "F1 N", "S", "V", "F", "Q", "ECE",
)  # fmt: skip


def _lines(lines: Sequence[Line], title: str) -> Table:
    rows = [[line.name, *line_cells(line), line.meaning] for line in lines]
    return Table(("", *LINE_HEAD, "what is different"), rows, title, (0,), (len(LINE_HEAD) + 1,))


def _best(found: Evaluation) -> Sequence[Line]:
    return found.arms or found.same_weights


def _bars(lines: Sequence[Line]) -> list[plots.Bar]:
    return [
        plots.Bar(
            line.name,
            (line.figures["veb_f1"], line.figures["sveb_f1"]),
            (line.spread("veb_f1") or 0.0, line.spread("sveb_f1") or 0.0) if line.folds else None,
            strong=number == 0,
        )
        for number, line in enumerate(lines)
    ]


def _comparison(found: Evaluation) -> Section:
    tables = [_lines(found.same_weights, "The same weights, asked to do without; nothing trained")]
    pictures = [Picture("The same weights", plots.svg(plots.bars(_bars(found.same_weights), "The same weights", F1S)))]
    text = [
        "Every line is judged by the same scorer on the same records. A network that was trained with all words and "
        "then loses some does worse than one that never had them: such lines say what the model leans on."
    ]
    if found.arms:
        tables.insert(0, _lines(found.arms, f"Taught anew, {len(found.arms[0].folds)} folds by subject; ± SD of folds"))
        draw = plots.bars(_bars(found.arms), "Subjects never seen", F1S)
        pictures.insert(0, Picture("Ablations and baselines", plots.svg(draw, (7.2, 5.0))))
        text.insert(
            0,
            "The first table is the fair comparison: each line was trained on the same annotated subjects and judged "
            "on subjects it has never seen; “whole” alone was self-trained on hearts without annotated beats, too.",
        )
    else:
        text.append("What each part is worth when it is never learned: `telebeat evaluate --ablations`.")
    return Section("Ablations and baselines", text, tables, pictures)


def _points(found: Evaluation) -> list[plots.Bar]:
    rows = []
    for row in found.rows:
        ratios = row.score.ratios()
        values = []
        for kind in ("veb", "sveb"):
            se, ppv = ratios[f"{kind}_se"], ratios[f"{kind}_ppv"]
            values.append(f1(ppv.percent, se.percent) if se.total else None)
        rows.append(plots.Bar(row.record, (values[0], values[1])))
    return rows


def _records(found: Evaluation) -> Section:
    names = ("qrs_se", "qrs_ppv", "veb_se", "veb_ppv", "sveb_se", "sveb_ppv")
    rows = []
    for row in found.rows:
        ratios = row.score.ratios()
        beats = row.score.beats
        rows.append(
            [
                row.record,
                f"{int(beats.counts[:5].sum()):,}",
                *(percent(ratios[name].percent) for name in names),
                f"{ratios['veb_se'].total:.0f}" if ratios["veb_se"].total else NOTHING,
                f"{ratios['sveb_se'].total:.0f}" if ratios["sveb_se"].total else NOTHING,
                percent(row.accuracy),
                row.standing,
            ]
        )
    head = ("record", "beats", "QRS Se", "+P", "VEB Se", "+P", "SVEB Se", "+P", "VEBs", "SVEBs", "accuracy", "model")
    draw = plots.points(_points(found), "By record", F1S)
    width = max(7.0, 0.19 * len(found.rows) + 1.5)
    return Section(
        "Records",
        ["A record without a point has no such beats."],
        [Table(head, rows, "Per cent; accuracy over the beats that both have")],
        [Picture("F1 by record", plots.svg(draw, (min(width, 13.0), 4.2)))],
    )


def _said(value: Any) -> str:
    """What was asked, in words."""
    if isinstance(value, Mapping):
        return "; ".join(f"{name}: {_said(one)}" for name, one in value.items())
    if isinstance(value, Sequence) and not isinstance(value, str):
        return ", ".join(map(_said, value)) or NOTHING
    return NOTHING if value is None else str(value)


def _made(found: Evaluation) -> Section:
    about = found.about
    beats = sum(int(row.score.beats.counts[:, :5].sum()) for row in found.rows)
    if found.differences:
        same = f"{found.differences:,} beats were read differently than training would have been given them: a bug."
    else:
        same = "Every beat has the place, label and probability that training's path gives it."
    delays = found.delays
    told = (
        f"From the R peak to its first word: median {delays['known_p50']:.0f} ms, p99 {delays['known_p99']:.0f} ms, at "
        f"most {delays['known_p100']:.0f} ms of signal; to its detection: median {delays['found_p50']:.0f} ms, p99 "
        f"{delays['found_p99']:.0f} ms."
        if delays
        else "No beat was found."
    )
    if "last_p50" in delays:
        told += f" To its last word: median {delays['last_p50']:.0f} ms, at most {delays['last_p100']:.0f} ms."
    rows = [[name, _said(value)] for name, value in about.items()]
    return Section(
        "How it was made",
        [f"Online and offline paths, {beats:,} beats in the scored part: {same}", told],
        [Table(("", ""), rows, words=(1,))],
    )
