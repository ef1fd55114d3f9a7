"""`telebeat evaluate`: how well a model reads beats, as it runs at the bedside."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from replay.folders import above, database_of
from stream.commands.shared import DataDir, ModelFolder, progress, wide_console
from stream.errors import RecordError, SettingsError

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from rich.console import Console

    from model.evaluation.arms import Arm
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
    json_file: Annotated[Path | None, typer.Option("--json", help="Write all numbers here.")] = None,
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
    from stream import outputs
    from stream.both_paths import choose
    from stream.evaluate import evaluate
    from stream.settings import data_dirs, load
    from stream.times import seconds

    start_s = seconds(start)
    if arms and not ablations:
        raise SettingsError("--arms chooses among what --ablations trains; give that, too")
    chosen = _arms(arms) if ablations else []
    folders = data_dirs(data_dir)
    names = wanted(records, more)
    loud = Console(stderr=True, markup=False)  # names are not ours: a bracket in them is one
    paths = choose(folders, names, wanted(database), reference_annotator, partial(loud.print, style="yellow"))
    model = model or load().model_dir
    reader = Reader.load(model)
    for file in (out, json_file, csv_file):
        if file is not None:
            outputs.file(file)
    if png is not None:
        outputs.picture(png)
    for folder in (annotations, work, passages_dir):
        if folder is not None:
            outputs.folder(folder)
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
    if chosen:
        named = paths if names or database else None
        found = _ablate(loud, found, chosen, named, failed, data_dir, config, folds, work, passages_dir, jobs)
    _write(found, out, json_file, csv_file, png)
    console = wide_console()
    _show(console, found)
    console.print(f"Report: {out}", highlight=False, soft_wrap=True)
    if failed:
        raise RecordError(
            f"{len(failed)} of {len(failed) + len(runs)} records could not be judged and are not in the report, the "
            f"first: {next(iter(failed.values()))}"
        )


def _write(found: Evaluation, out: Path, json_file: Path | None, csv_file: Path | None, png: Path | None) -> None:
    """The report, and the files that are wanted beside it."""
    import json

    from stream import evaluate_report, report

    report.write(out, "telebeat evaluate", evaluate_report.lead(found), evaluate_report.sections(found))
    for file, save in (
        (json_file, lambda file: file.write_text(json.dumps(found.as_dict(), indent=1) + "\n", encoding="utf-8")),
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


def _arms(names: list[str] | None) -> list[Arm]:
    """The arms asked for, in their order."""
    from model.evaluation.arms import ARMS
    from replay.records import wanted

    asked = wanted(names)
    if unknown := set(asked) - {arm.name for arm in ARMS}:
        known = ", ".join(arm.name for arm in ARMS)
        raise SettingsError(f"--arms {', '.join(sorted(unknown))}: there are {known}")
    return [arm for arm in ARMS if not asked or arm.name in asked]


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


def _ablate(
    console: Console,
    found: Evaluation,
    arms: Sequence[Arm],
    paths: Sequence[Path] | None,
    failed: Collection[str],
    data_dir: Path | None,
    config: Path | None,
    parts: int,
    work: Path | None,
    shelf: Path | None,
    jobs: int,
) -> Evaluation:
    """Train and judge the arms on what `telebeat train` would analyse but what failed, or on the records named."""
    import dataclasses

    from rich.progress import TextColumn

    from model.evaluation.arms import ARMS, run
    from model.evaluation.judging import Judged, judge
    from model.train import Round, TrainingConfig
    from stream.evaluate import Line
    from stream.training import configured, folder_of, load_passages, records_in

    settings = configured(TrainingConfig(), config)
    if paths is None:
        data = folder_of(data_dir, settings)
        paths = [path for path in records_in(data, settings) if f"{database_of(path.parent)}/{path.name}" not in failed]
    else:
        data = above(paths[0].parent)
        settings = dataclasses.replace(settings, unannotated=())  # none was named
    start_s = float(found.about["from_s"])
    material = {
        oracle: load_passages(console, settings, data, paths, jobs, oracle=oracle, shelf=shelf)
        for oracle in sorted({arm.oracle for arm in arms})
    }
    subjects = {p.subject for p in next(iter(material.values())) if p.scored}
    if len(subjects) < 2 * parts:
        raise SettingsError(f"{len(subjects)} subjects do not make {parts} folds of two or more; give fewer --folds")
    lines: list[Line] = []
    unseen: Judged | None = None
    with progress(console, TextColumn("{task.fields[now]}"), transient=False) as bar:
        task = bar.add_task(
            "training", total=parts * sum(arm.rounds(material[arm.oracle], settings) for arm in arms), now=""
        )
        done = 0
        for arm in arms:
            passages = material[arm.oracle]
            judged: list[Judged] = []
            rounds = arm.rounds(passages, settings)

            def told(line: Round, arm: Arm = arm, judged: list[Judged] = judged) -> None:
                now = f"{arm.name}, fold {len(judged) + 1}, round {line.epoch}: score {line.score:.3f}"
                bar.update(task, advance=1, now=now)

            plain = [p for p in passages if p.kind == "plain"]
            readings = {}
            bar.update(task, completed=done, now=arm.name)
            for reading in run(arm, passages, settings, parts, work, told):
                readings.update(reading)
                judged.append(judge(plain, reading, start_s))
                done += rounds
                bar.update(task, completed=done)
            together = judge(plain, readings, start_s)
            lines.append(Line.of(arm.name, arm.meaning, together, judged))
            if arm is ARMS[0]:
                unseen = together
    about = {
        **found.about,
        "folds": parts,
        "trained_on": [f"{database_of(path.parent)}/{path.name}" for path in paths],  # annotated or not
        "config": dataclasses.asdict(settings),
    }
    return dataclasses.replace(found, arms=lines, about=about, unseen=unseen)


def _show(console: Console, found: Evaluation) -> None:
    """Print what matters most."""
    from rich.table import Table

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
    if found.differences:
        console.print(
            f"{found.differences} beats are not read as training would have been given them: please report it",
            style="bold red",
        )
    else:
        console.print(f"Online and offline paths read every beat alike on {len(found.rows)} records.")
