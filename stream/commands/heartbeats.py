"""`telebeat heartbeats`: the classic task of single beats, by the bedside's words, vocabulary, network and trainer."""

from __future__ import annotations

import enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from stream.commands.shared import DataDir, JsonFile, wide_console
from stream.errors import RecordError, SettingsError

LEAST_BEATS = 20  # of a class: below that, a share of them held out and one judged say nothing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from rich.console import Console
    from rich.progress import Progress

    from model.heartbeat_train import Line, Split, SplitResult
    from model.heartbeat_words import Sentences
    from model.heartbeats import Heartbeats, Task
    from model.train import TrainingConfig
    from stream.heartbeat_report import Result


class Which(enum.StrEnum):
    """Tasks to run."""

    MITBIH = "mitbih"
    PTB = "ptb"
    BOTH = "both"


class Ways(enum.StrEnum):
    """Ways to split."""

    RANDOM = "random"
    PATIENT = "patient"
    BOTH = "both"


class Peaks(enum.StrEnum):
    """Where beats of MIT-BIH lie."""

    REFERENCE = "reference"
    DETECTED = "detected"


def heartbeats(
    *,
    task: Annotated[
        Which, typer.Option(help="N S V F Q of MIT-BIH, infarction of PTB Diagnostic, or both")
    ] = Which.BOTH,
    csv_dir: Annotated[
        Path | None, typer.Option(help="read the beats from the set's CSV files in this folder, not from records")
    ] = None,
    data_dir: DataDir = None,
    beats: Annotated[
        Peaks, typer.Option(help="MIT-BIH beats at the annotations, as in the set, or where our detector finds them")
    ] = Peaks.REFERENCE,
    split: Annotated[Ways, typer.Option(help="by beats, by patient, or both side by side")] = Ways.BOTH,
    folds: Annotated[
        int, typer.Option(min=2, help="parts of the patients; each is judged by a training of its own")
    ] = 5,
    subsample: Annotated[
        int | None, typer.Option(min=50, metavar="N", help="only N beats of each task by lot: quick, and rough")
    ] = None,
    baseline: Annotated[
        bool, typer.Option("--baseline", help="boosted trees on the 187 samples beside it; takes as long again")
    ] = False,
    seed: Annotated[int, typer.Option(min=0, help="of everything drawn by lot")] = 7,
    config: Annotated[Path | None, typer.Option(help="TOML file with values of TrainingConfig to change")] = None,
    json_file: JsonFile = None,
    out: Annotated[Path | None, typer.Option(help="write the HTML report here")] = None,
) -> None:
    """Classify single beats as text, as in the well-known set of 123,998 beats (187 samples at 125 Hz).

    Beat, text, TF-IDF, k-means, tokens, padding, labels, embedding, LSTM, dropout, dense, early stopping: with the
    words, the vocabulary, the network and the trainer of the bedside. See docs/heartbeats.md.
    """
    import dataclasses
    import time

    from stream.extras import need

    need("training", "sklearn", "torch", extra="train")
    from detector.detector import update
    from model.heartbeat_train import RECIPE
    from model.heartbeats import MITBIH, PTB
    from stream import heartbeat_report, outputs
    from stream.training import LeftOut, configured
    from stream.warm import announce_compilation

    console = wide_console(highlight=False, stderr=outputs.numbers(json_file))
    recipe = dataclasses.replace(configured(RECIPE, config), seed=seed)
    if not 0.0 < recipe.held_out <= 0.5:
        raise SettingsError(f"{config}: held_out is the share that decides when to stop, above 0 and at most 0.5")
    if out is not None:
        outputs.file(out)
    wanted = {Which.MITBIH: (MITBIH,), Which.PTB: (PTB,), Which.BOTH: (MITBIH, PTB)}[task]
    if csv_dir is None and (PTB in wanted or beats is Peaks.DETECTED):
        announce_compilation(console.print, update)
    began = time.monotonic()
    places, failed = _places(wanted, csv_dir, data_dir)
    for reason in failed.values():
        console.print(f"left out: {reason}", style="yellow", soft_wrap=True)
    left_out = LeftOut(console)

    def judged(one: Task) -> Result:
        found = _gather(console, one, csv_dir, places[one], left_out, detected=beats is Peaks.DETECTED)
        if subsample is not None:
            found = found.subsample(subsample, seed)
        return _run(console, found, recipe, split, folds, baseline=baseline)

    results = _each(console, places, judged, failed)
    lead = [
        "Single beats as text, each 187 samples at 125 Hz from R on, between 0 and 1. For research; no medical device.",
        f"seed {seed}, {recipe.clusters} shape words, {recipe.embedding} embedding, {recipe.hidden} LSTM units, "
        f"at most {recipe.epochs} rounds; published: {heartbeat_report.PAPER}.",
        *(f"{one.title} is left out: {reason}." for one, reason in failed.items()),
    ]
    if json_file is not None:
        numbers = {"seed": seed, "config": dataclasses.asdict(recipe)} | heartbeat_report.as_dict(results)
        numbers["left_out"] = {one.name: reason for one, reason in failed.items()}
        outputs.write_numbers(json_file, numbers)
    if out is not None:
        heartbeat_report.write(out, results, lead)
        console.print(f"wrote {out}")
    console.print(f"{time.monotonic() - began:.0f} s in all")
    if told := [reason for one, reason in failed.items() if one in places]:
        raise RecordError(f"{len(told)} of {len(wanted)} tasks could not be run: {told[0]}")
    left_out.tell()


def _each(
    console: Console, tasks: Iterable[Task], judged: Callable[[Task], Result], failed: dict[Task, str]
) -> list[Result]:
    """Run the tasks; one that fails does not lose the minutes of training of another, and why it did is added.

    Raises
    ------
    RecordError
        All have failed.
    """
    results = []
    for task in tasks:
        try:
            result = judged(task)
        except RecordError as error:
            failed[task] = str(error)
            console.print(f"left out: {error}", style="yellow", soft_wrap=True)
            continue
        _show(console, result)
        results.append(result)
    if not results:
        raise RecordError("; ".join(failed.values()))
    return results


def _places(
    wanted: Sequence[Task], csv_dir: Path | None, data_dir: Path | None
) -> tuple[dict[Task, Path], dict[Task, str]]:
    """Where each task's beats are, and why the others have none: before minutes are spent on any.

    Raises
    ------
    RecordError
        None has any.
    """
    from model.heartbeat_files import whole

    places, failed = {}, {}
    for task in wanted:
        try:
            places[task] = _folder(data_dir, task) if csv_dir is None else whole(csv_dir, task)
        except RecordError as error:
            failed[task] = str(error)
    if not places:
        raise RecordError("; ".join(failed.values()))
    return places, failed


def _gather(
    console: Console, task: Task, csv_dir: Path | None, folder: Path, remark: Callable[[str], object], *, detected: bool
) -> Heartbeats:
    """The beats of a task, with a progress bar; `remark` is told of each record that cannot be read."""
    from rich.progress import Progress

    from model.dataset import records_of
    from model.heartbeat_files import characters, from_csv
    from model.heartbeats import MITBIH, from_mitbih, from_ptb, ptb_records

    with Progress(console=console) as progress:
        if csv_dir is not None:
            bar = progress.add_task(f"{task.name}: reading", total=characters(csv_dir, task) or None)
            return from_csv(csv_dir, task, lambda read: progress.advance(bar, read))
        if task is MITBIH:
            records = records_of(folder, remark)
            bar = progress.add_task(f"{task.name}: cutting beats", total=len(records))
            return from_mitbih(
                folder, records, detected=detected, report=lambda _: progress.advance(bar), remark=remark
            )
        paths = ptb_records(folder)
        bar = progress.add_task(f"{task.name}: finding beats", total=len(paths))
        return from_ptb(folder, paths, report=lambda _: progress.advance(bar), remark=remark)


def _folder(data_dir: Path | None, task: Task) -> Path:
    from replay.folders import database_folder
    from stream.settings import data_dirs

    for folder in data_dirs(data_dir):
        if (found := database_folder(folder, task.database)) is not None:
            return found
    where = f"{data_dir} has no" if data_dir is not None else "no data folder has"
    raise RecordError(
        f"{where} {task.database}; fetch it with `telebeat download {task.database}`, name its folder with "
        "--data-dir, or give the set's CSV files with --csv-dir"
    )


def _run(
    console: Console, beats: Heartbeats, recipe: TrainingConfig, ways: Ways, folds: int, *, baseline: bool
) -> Result:
    """Train and judge on the splits that are wanted and possible."""
    from rich.progress import Progress, TextColumn

    from model.heartbeat_train import boosted, split_beats, split_patients, why_not_by_patient
    from model.heartbeat_words import draw_beats
    from stream.heartbeat_report import PATIENT, RANDOM, Result

    counts = beats.counts()
    if missing := [name for name, count in counts.items() if count < LEAST_BEATS]:
        console.print(
            f"{beats.task.name}: fewer than {LEAST_BEATS} beats of {', '.join(missing)}; little can be learned"
        )
    if sum(count >= LEAST_BEATS for count in counts.values()) < 2:
        told = ", ".join(f"{count} {name}" for name, count in counts.items())
        raise RecordError(
            f"{beats.task.title}: two classes with {LEAST_BEATS} beats each are needed, here are {told}; "
            "take more records or a larger --subsample"
        )
    why_not = why_not_by_patient(beats) if ways is not Ways.RANDOM else None
    if why_not and ways is Ways.PATIENT:
        raise RecordError(f"{beats.task.title}, --split patient: {why_not}")
    if why_not:
        console.print(f"{beats.task.name}: no split by patient: {why_not}", soft_wrap=True)
    splits = {}
    if ways is not Ways.PATIENT:
        splits[RANDOM] = [split_beats(beats, recipe.seed, recipe.held_out)]
    if ways is not Ways.RANDOM and not why_not:
        splits[PATIENT] = split_patients(beats, folds, recipe.seed, recipe.held_out)
    sentences = draw_beats(beats.rows)
    columns = (*Progress.get_default_columns(), TextColumn("{task.fields[now]}"))
    with Progress(*columns, console=console) as progress:
        judged = {way: _study(progress, beats, sentences, way, some, recipe) for way, some in splits.items()}
        trees = {}
        if baseline:
            bar = progress.add_task(f"{beats.task.name}: boosted trees", total=sum(map(len, splits.values())), now="")
            for way, some in splits.items():
                trees[way] = boosted(beats, way, some, recipe.seed, lambda: progress.advance(bar))
    return Result(beats, judged, why_not, trees)


def _study(
    progress: Progress,
    beats: Heartbeats,
    sentences: Sentences,
    way: str,
    splits: Sequence[Split],
    recipe: TrainingConfig,
) -> SplitResult:
    """`model.heartbeat_train.study` with a progress bar; a training that stops early jumps to its end."""
    from model.heartbeat_train import study

    bar = progress.add_task(f"{beats.task.name}: {way}", total=recipe.epochs * len(splits), now="")

    def report(number: int, line: Line) -> None:
        now = f"{number + 1}/{len(splits)}  loss {line.loss:.3f}  held out {100 * line.accuracy:.1f} %"
        progress.update(bar, completed=recipe.epochs * number + line.epoch, now=now)

    judged = study(beats, sentences, way, splits, recipe, report)
    progress.update(bar, completed=recipe.epochs * len(splits))
    return judged


def _show(console: Console, result: Result) -> None:
    """The ways side by side, and the confusion of each."""
    from rich.table import Table

    from stream.heartbeat_report import WAYS, figures_of, head, remarks, rows

    def print_table(heads: Sequence[str], lines: Sequence[Sequence[str]], title: str) -> None:
        table = Table(*heads, title=title, title_justify="left")
        table.columns[0].no_wrap = True
        for column in table.columns[1:]:
            column.justify = "right"
        for line in lines:
            table.add_row(*line)
        console.print(table)

    task = result.beats.task
    counts = ", ".join(f"{count:,} {name}" for name, count in result.beats.counts().items())
    console.print(f"{task.title}: {result.beats.source}, {len(result.beats):,} beats: {counts}", soft_wrap=True)
    print_table(head(result), rows(result), task.title)
    for way, judged in result.ways.items():
        counts = figures_of(result.beats, judged).counts.tolist()
        lines = [[name, *map(str, row)] for name, row in zip(task.classes, counts, strict=True)]
        print_table(("true \\ said", *task.classes), lines, WAYS[way])
    for remark in remarks(result):
        if result.why_not is None or result.why_not not in remark:  # that was said before training
            console.print(f"- {remark}", soft_wrap=True)
