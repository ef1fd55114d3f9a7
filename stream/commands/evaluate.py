"""`telebeat evaluate`: how well a model reads beats, as it runs at the bedside."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from replay.folders import database_of
from stream.commands.shared import DataDir, JsonFile, ModelFolder, progress, wide_console
from stream.errors import RecordError, SettingsError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console

    from stream.both_paths import BothPaths
    from stream.evaluate import Evaluation, Line


def evaluate(
    more: Annotated[
        list[str] | None, typer.Argument(help="Records, such as 208 or mitdb/208.", metavar="[RECORD]...")
    ] = None,
    *,
    data_dir: DataDir = None,
    records: Annotated[list[str] | None, typer.Option(help="The same as naming records.")] = None,
    database: Annotated[
        list[str] | None,
        typer.Option(help="Databases, such as mitdb,svdb; default: DS1 of mitdb, and svdb.", show_default=False),
    ] = None,
    model: ModelFolder = None,
    out: Annotated[Path, typer.Option("--out", "-o", help="The report, one HTML file.")] = Path("evaluation.html"),
    json_file: JsonFile = None,
    csv_file: Annotated[Path | None, typer.Option("--csv", help="Write the comparisons here, as a table.")] = None,
    png: Annotated[Path | None, typer.Option(help="Draw an overview here.")] = None,
    annotations: Annotated[
        Path | None, typer.Option(help="Keep the annotation files in this folder, one of each database within.")
    ] = None,
    start: Annotated[str, typer.Option("--from", help="Start of the test period, seconds or m:ss.")] = "5:00",
    reference_annotator: Annotated[str, typer.Option(help="Suffix of the reference annotations.")] = "atr",
    ablations: Annotated[
        bool, typer.Option("--ablations", help="Teach the ablations and baselines anew, too; hours at full size.")
    ] = False,
    folds: Annotated[int, typer.Option(min=2, metavar="K", help="Parts of the subjects, with --ablations.")] = 4,
    arms: Annotated[
        list[str] | None, typer.Option(help="Only these, such as whole,no-rr,boosting, with --ablations.")
    ] = None,
    config: Annotated[
        Path | None, typer.Option(help="TOML file with values of TrainingConfig to change, with --ablations.")
    ] = None,
    work: Annotated[
        Path | None, typer.Option(help="Keep each fold's readings here; the same command goes on from there.")
    ] = None,
    passages_dir: Annotated[
        Path | None,
        typer.Option("--heard", help="Keep analysed records here, as `telebeat train` does, with --ablations."),
    ] = None,
    jobs: Annotated[int, typer.Option(min=1, max=64, help="Processes that analyse records.")] = 2,
) -> None:
    """Judge a model on annotated records by the code of the bedside: EC57, classes, calibration, records, ablations.

    The plain command trains nothing. With --ablations every arm is trained K times and judged on subjects it has never
    seen. Two such commands with the same --work and different --arms share the time; one more without --arms then
    gathers everything.
    """
    import tempfile

    from rich.console import Console

    from stream.extras import need

    need("evaluation", "jinja2", "sklearn", "torch", extra="train")
    from model.reader import Reader
    from replay.records import wanted
    from stream import ablations as anew
    from stream import outputs
    from stream.both_paths import choose
    from stream.evaluate import evaluate
    from stream.settings import data_dirs, load
    from stream.times import seconds
    from stream.training import LeftOut

    start_s = seconds(start)
    if arms and not ablations:
        raise SettingsError("--arms chooses among what --ablations trains; give that, too")
    chosen = anew.arms_of(wanted(arms)) if ablations else []
    folders = data_dirs(data_dir)
    names = wanted(records, more)
    loud = Console(stderr=True, markup=False)  # names are not ours: a bracket in them is one
    paths = choose(folders, names, wanted(database), reference_annotator, partial(loud.print, style="yellow"))
    model = model or load().model_dir
    reader = Reader.load(model)
    to_stdout = outputs.numbers(json_file)
    _try((out, csv_file), png, (annotations, work, passages_dir))
    plan = None
    left_out = LeftOut(loud)
    if chosen:
        named = paths if names or database else None
        plan = anew.planned(chosen, named, data_dir, config, folds, left_out)
    with tempfile.TemporaryDirectory(prefix="telebeat-") as scratch:
        kept = annotations or Path(scratch)
        paths, runs, failed = _run_both(loud, paths, kept, model, reference_annotator, start_s, jobs)
        _warn_of_short(loud, runs, start, start_s)
        unscored = _warn_of_unscored(loud, runs)
        about = {
            "model": "shipped with telebeat" if model is None else model.name,
            "weights": reader.card.get("weights_blake2b", ""),
            "databases": sorted({database_of(path.parent) for path in paths}),
            "hours": round(sum(one.seconds for one in runs) / 3600, 3),
            "from_s": start_s,
            "reference_annotator": reference_annotator,
            **({"left_out": sorted(failed)} if failed else {}),
            **({"not_scored": unscored} if unscored else {}),
        }
        found = evaluate(runs, reader, start_s=start_s, about=about)
    _write(found, out, None if plan is not None and to_stdout else json_file, csv_file, png)
    if plan is not None:
        # Hours follow, and whatever happens in them, what was judged is kept.
        loud.print(f"Report without the ablations: {out}", highlight=False, soft_wrap=True)
        found = anew.ablated(loud, found, plan.without(failed), work, passages_dir, jobs, left_out)
        _write(found, out, json_file, csv_file, png)
    console = wide_console(stderr=to_stdout)
    _show(console, found)
    console.print(f"Report: {out}", highlight=False, soft_wrap=True)
    if failed:
        raise RecordError(
            f"{len(failed)} of {len(failed) + len(runs)} records could not be judged and are not in the report, the "
            f"first: {next(iter(failed.values()))}"
        )
    left_out.tell()


def _try(files: Sequence[Path | None], picture: Path | None, folders: Sequence[Path | None]) -> None:
    """See that all that is wanted can be written, before the work whose result it is for."""
    from stream import outputs

    for file in files:
        if file is not None:
            outputs.file(file)
    if picture is not None:
        outputs.picture(picture)
    for folder in folders:
        if folder is not None:
            outputs.folder(folder)


def _write(found: Evaluation, out: Path, json_file: Path | None, csv_file: Path | None, png: Path | None) -> None:
    """The report, and the files that are wanted beside it."""
    from stream import evaluate_report, outputs, report

    report.write(out, "telebeat evaluate", evaluate_report.lead(found), evaluate_report.sections(found))
    for file, save in (
        (json_file, lambda file: outputs.write_numbers(file, found.as_dict())),
        (csv_file, lambda file: evaluate_report.write_comparison(file, found)),
        (png, lambda file: evaluate_report.overview(found).savefig(file, dpi=100)),
    ):
        if file is not None:
            _save(file, save)


def _save(file: Path, save: Any) -> None:
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        save(file)
    except (OSError, ValueError) as error:
        raise RecordError(f"{file} cannot be written ({error}); name another file") from error


def _run_both(
    console: Console,
    paths: Sequence[Path],
    kept: Path,
    model: Path | None,
    annotator: str,
    start_s: float,
    jobs: int,
) -> tuple[list[Path], list[BothPaths], dict[str, str]]:
    """What could be analysed, by the bedside's path and by training's, with a progress bar; why the rest could not."""
    from stream.both_paths import run_all
    from stream.warm import announce_compilation

    known, runs, failed = [], [], {}
    announce_compilation(console.print)
    with progress(console) as bar:
        task = bar.add_task("analysing", total=len(paths))
        for path, one in run_all(paths, kept, model, annotator, start_s, jobs):
            name = f"{database_of(path.parent)}/{path.name}"
            if isinstance(one, str):
                failed[name] = one
                bar.console.print(f"left out: {one}", style="yellow", soft_wrap=True)
            else:
                known.append(path)
                runs.append(one)
            bar.update(task, advance=1, description=name)
    if not runs:
        raise RecordError(f"none of {len(paths)} records could be judged, the first: {next(iter(failed.values()))}")
    return known, runs, failed


def _warn_of_short(console: Console, runs: Sequence[BothPaths], start: str, start_s: float) -> None:
    """Say which records have nothing to judge; all of them are an error."""
    short = [f"{one.passage.database}/{one.passage.record}" for one in runs if one.seconds <= start_s]
    if len(short) == len(runs):
        raise SettingsError(f"every record ends before {start}, and nothing of them is judged: use --from 0")
    if short:
        console.print(f"nothing is judged of {', '.join(short)}: they end before {start}; use --from 0", soft_wrap=True)


def _warn_of_unscored(console: Console, runs: Sequence[BothPaths]) -> dict[str, str]:
    """Say which records are in no table of classes, and why; all of them are an error."""
    from stream.both_paths import some_of

    reasons = {one.passage: why for one in runs if (why := one.passage.why_not_scored) is not None}
    told = []
    for why in dict.fromkeys(reasons.values()):
        names = [f"{p.database}/{p.record}" for p, reason in reasons.items() if reason == why]
        told.append(f"{some_of(names)}: {why}")
    if len(reasons) == len(runs):
        raise RecordError(
            f"none of the {len(runs)} records is scored ({'; '.join(told)}); name others, or judge these beat by beat "
            "by `telebeat annotate` and `telebeat score`"
        )
    for line in told:
        console.print(f"not scored: {line}", style="yellow", soft_wrap=True)
    return {f"{p.database}/{p.record}": why for p, why in reasons.items()}


def _show(console: Console, found: Evaluation) -> None:
    """Print what matters most."""
    from rich.table import Table

    from stream.both_paths import some_of
    from stream.evaluate import UNKNOWN
    from stream.evaluate_report import LINE_HEAD, line_cells, sections
    from stream.figures import percent, share

    summary = sections(found)[0].tables[0]
    table = Table(*summary.head, title="EC57, gross, detected beats, per cent")
    for row in summary.rows:
        table.add_row(*row)
    console.print(table)
    figures = found.judged.figures
    head = ("class", "beats", "precision", "recall", "F1", "ROC area", "ECE")
    table = Table(*head, title=f"Classes: accuracy {percent(figures.accuracy)} %")
    for k, name in enumerate(figures.classes):
        curve = figures.roc[k]
        ratios = (figures.precision[k], figures.recall[k], figures.f1[k])
        area = share(None if curve is None else curve.area)
        table.add_row(name, str(figures.support[k]), *map(percent, ratios), area, share(figures.reliability[k].error))
    console.print(table)

    def lines(title: str, some: Sequence[Line]) -> None:
        table = Table("", *LINE_HEAD, title=title)
        for line in some:
            table.add_row(line.name, *line_cells(line))
        console.print(table)

    lines("The same weights, asked to do without", found.same_weights)
    if found.arms:
        lines("Taught anew, judged on subjects never seen; ± SD of folds", found.arms)
    if unknown := [row.record for row in found.rows if row.standing == UNKNOWN]:
        console.print(
            f"not known: whether the model has seen the hearts of {some_of(unknown)}, which are called like records it "
            "was trained on; name the folder after its database",
            style="yellow",
            soft_wrap=True,
        )
    if found.differences:
        console.print(
            f"{found.differences} beats are not read as training would have been given them: please report it",
            style="bold red",
        )
    else:
        console.print(f"Online and offline paths read every beat alike on {len(found.rows)} records.")
