"""`telebeat train`: learn the vocabulary and the network from annotated records."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from stream.commands.shared import DataDir, wide_console
from stream.errors import ModelError, SettingsError
from stream.figures import percent

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from rich.console import Console

    from model.cross_validation import Tables
    from model.dataset import Passage
    from model.reader import Weights
    from model.train import Round, TrainingConfig
    from stream.evaluate import Line
    from stream.search import Try

MODEL_FOLDER: Final = Path("model-trained")  # where a model goes unless told
FIGURES: Final = ("VEB Se", "VEB +P", "SVEB Se", "SVEB +P")
#: What of `Tables` is judged by EC57, and what it is called.
SAID: Final = {"first": "first word", "last": "last word", "moved": "last word, electrodes moved"}


def train(
    *,
    out: Annotated[
        Path | None, typer.Option(help="folder for the model and its card", show_default=str(MODEL_FOLDER))
    ] = None,
    data_dir: DataDir = None,
    config: Annotated[Path | None, typer.Option(help="TOML file with values of TrainingConfig to change")] = None,
    cross_validate: Annotated[
        int | None, typer.Option(min=2, metavar="K", help="judge instead: K parts of the subjects in turn, no model")
    ] = None,
    search: Annotated[
        Path | None,
        typer.Option(
            help="compare configurations, with --cross-validate: a TOML file, a table [name] of changed values each"
        ),
    ] = None,
    rhythms_of: Annotated[
        Path | None,
        typer.Option(
            metavar="MODEL",
            help="fit this model's rhythm head anew, to the records of its card, and leave its networks as they are",
        ),
    ] = None,
    csv_file: Annotated[Path | None, typer.Option("--csv", help="keep the table of --search here")] = None,
    json_file: Annotated[
        Path | None,
        typer.Option("--json", help="write the cross-validated scores here; - for the standard output"),
    ] = None,
    work: Annotated[
        Path | None,
        typer.Option(help="keep each part's readings here, for `telebeat evaluate --ablations --work`, or each try's"),
    ] = None,
    passages_dir: Annotated[
        Path | None, typer.Option("--heard", help="keep analysed records here, so that they are analysed only once")
    ] = None,
    jobs: Annotated[int, typer.Option(min=1, help="processes that analyse records")] = 2,
) -> None:
    """Train the beat language on detected beats, cross-validate it by subject, or search among configurations so.

    The learning curve (`curve.csv`) and a checkpoint are kept in the output folder; the same command resumes there. So
    does a search with the same --work.
    """
    import time

    from rich.console import Console

    from stream.extras import need

    need("training", "sklearn", "torch", extra="train")
    from model.store import load
    from model.train import TrainingConfig
    from stream import outputs
    from stream.search import tries_of
    from stream.training import LeftOut, changed, configured, folder_of, load_passages, records_in, scored_subjects

    _agree(cross_validate, search, csv_file, json_file, rhythms_of, out)
    out = out or MODEL_FOLDER
    to_stdout = cross_validate is not None and outputs.numbers(json_file)
    console = Console(markup=False, stderr=to_stdout)  # paths are not ours: a bracket in them is one
    beside = load(rhythms_of) if rhythms_of is not None else None
    base = TrainingConfig() if beside is None else changed(TrainingConfig(), _config_of(beside[1]), str(rhythms_of))
    chosen = configured(base, config)
    tries = tries_of(search, chosen) if search is not None else []
    if csv_file is not None:
        outputs.file(csv_file)
    for folder in (out if cross_validate is None else work, passages_dir):
        if folder is not None:
            outputs.folder(folder)
    began = time.monotonic()
    data = folder_of(data_dir, chosen)
    left_out = LeftOut(console)
    records = records_in(data, chosen, left_out)
    if cross_validate is not None:
        _need(cross_validate, scored_subjects(records))
    passages = load_passages(console, chosen, data, records, jobs, shelf=passages_dir, remark=left_out)
    if cross_validate is not None:
        _need(cross_validate, {p.subject for p in passages if p.scored})
    if cross_validate is not None and tries:
        _search(console, passages, tries, cross_validate, csv_file, work)
    elif cross_validate is not None:
        _cross_validate(console, passages, chosen, cross_validate, json_file, work)
    else:
        weights, card = beside if beside is not None else _train(console, passages, chosen, out)
        command = "telebeat train" if beside is None else "telebeat train --rhythms-of MODEL"
        _fit_rhythms(console, passages, chosen, out, weights, card, command)
        console.print(f"{time.monotonic() - began:.0f} s in all")
    left_out.tell()


def _agree(
    parts: int | None,
    search: Path | None,
    csv_file: Path | None,
    json_file: Path | None,
    rhythms_of: Path | None,
    out: Path | None,
) -> None:
    """See that what is asked for is one thing."""
    if rhythms_of is not None and not (parts is None and search is None):
        raise SettingsError("--rhythms-of makes a model, --cross-validate and --search judge: give one of them")
    if parts is not None and out is not None:
        raise SettingsError("--out is where a model goes, and --cross-validate and --search make none: leave it out")
    if search is not None and parts is None:
        raise SettingsError("--search compares by cross-validation: say in how many parts, such as --cross-validate 4")
    if search is not None and json_file is not None:
        raise SettingsError("--json is for one configuration; the table of --search goes to --csv")
    if csv_file is not None and search is None:
        raise SettingsError("--csv keeps the table of --search; give that, too")


def _need(parts: int, subjects: Collection[str]) -> None:
    """See that there is somebody to judge in each part."""
    if len(subjects) < parts:
        most = f"give {len(subjects)} at most" if len(subjects) > 1 else "two are needed at least"
        raise SettingsError(
            f"--cross-validate {parts}: of scored subjects there are {len(subjects)}, and each part needs one; {most}, "
            "or name more databases with --config"
        )


def _train(
    console: Console, passages: Sequence[Passage], config: TrainingConfig, out: Path
) -> tuple[Weights, dict[str, Any]]:
    """The networks, and what the card says of them."""
    import dataclasses

    from rich.progress import Progress, TextColumn

    from model.self_training import self_train

    columns = (*Progress.get_default_columns(), TextColumn("{task.fields[now]}"))
    with Progress(*columns, console=console) as progress:
        twice = not all(p.annotated for p in passages)
        task = progress.add_task("training", total=config.epochs * (1 + twice), now="")

        def report(line: Round, before: int) -> None:
            now = f"loss {line.loss:.3f}"
            if config.held_out:
                now += (
                    f"  VEB {line.veb_se:.1f}/{line.veb_ppv:.1f}  SVEB {line.sveb_se:.1f}/{line.sveb_ppv:.1f}"
                    f"  score {line.score:.3f}"
                )
            progress.update(task, completed=before + line.epoch, now=now)

        trainer = self_train(passages, config, out, report)
        weights = trainer.weights()
    kept = dataclasses.asdict(max(trainer.curve, key=lambda line: line.score) if config.held_out else trainer.curve[-1])
    card: dict[str, Any] = {
        "what": "beat classes N S V F Q of ANSI/AAMI EC57 from words of beats; for research, no medical device",
        "command": "telebeat train",
        "config": dataclasses.asdict(config),
        "trained_on": sorted({f"{p.database}/{p.record}" for p in trainer.training if p.annotated}),
        "self_trained_on": sorted({f"{p.database}/{p.record}" for p in trainer.training if not p.annotated}),
        "stopped_by": sorted(trainer.held_out),
        "epochs": len(trainer.curve),
        "kept": kept if config.held_out else {name: kept[name] for name in ("epoch", "loss")},  # nobody was judged
    }
    return weights, card


def _fit_rhythms(
    console: Console,
    passages: Sequence[Passage],
    config: TrainingConfig,
    out: Path,
    weights: Weights,
    card: dict[str, Any],
    command: str,
) -> None:
    """Fit the rhythm head to networks that have been trained, and write the model."""
    from dataclasses import asdict

    from model.codes import RHYTHMS
    from model.dataset import UNLABELLED
    from model.rhythm_training import fit_rhythms, rhythm_labels
    from model.store import SHIPPED, save

    marked = {f"{p.database}/{p.record}": set(rhythm_labels(p).tolist()) - {UNLABELLED} for p in passages}
    told = [name for k, name in enumerate(RHYTHMS) if k and any(k in labels for labels in marked.values())]
    if not told:
        console.print(f"no record has {' or '.join(RHYTHMS[1:])} marked: no rhythm will be told", style="yellow")
    with console.status("fitting the rhythm head"):
        weights = weights._replace(rhythm=fit_rhythms(passages, weights, config.seed))
    path = out / SHIPPED.name
    rhythms = {"told": told, "command": command, "trained_on": sorted(name for name in marked if marked[name])}
    if (settings := json.loads(json.dumps(asdict(config)))) != json.loads(json.dumps(card["config"])):
        rhythms["config"] = settings  # another than that of the networks
    save(path, weights, card | {"rhythms": rhythms})
    console.print(f"wrote {path} and its card")


def _config_of(card: dict[str, Any]) -> dict[str, Any]:
    """How a model's networks were trained: its rhythm head is fitted to the same records unless told otherwise."""
    config = card.get("config")
    if not isinstance(config, dict):
        raise ModelError("the model's card does not say how it was trained; train it anew with `telebeat train`")
    return config


def _search(
    console: Console,
    passages: Sequence[Passage],
    tries: Sequence[Try],
    parts: int,
    csv_file: Path | None,
    work: Path | None,
) -> None:
    from rich.table import Table

    from stream import outputs
    from stream.search import difference, rows, search

    names = ("VEB Se", "+P", "F1", "SVEB Se", "+P", "F1")
    figures = ("veb_se", "veb_ppv", "veb_f1", "sveb_se", "sveb_ppv", "sveb_f1")
    table = Table(
        "try", "changed", *names, "against the first", title=f"EC57, gross, detected beats, {parts}-fold by subject"
    )
    lines: list[Line] = []
    for line in search(console, passages, tries, parts, work):
        lines.append(line)
        apart = difference(line, lines[0])
        cells = [percent(line.figures[name], 1) for name in figures]
        told = f"{percent(apart.mean, 1)} ± {percent(apart.spread, 1)}" if len(lines) > 1 else ""
        table.add_row(line.name, line.meaning, *cells, told)
        if csv_file is not None:  # what is known is kept, however the rest ends
            outputs.write_rows(csv_file, rows(lines, tries))
    wide_console(stderr=console.stderr).print(table)
    console.print("Against the first: the mean F1 of VEB and SVEB, fold by fold; mean and SD over the folds.")


def _numbers(everything: Tables, results: Sequence[Tables]) -> dict[str, Any]:
    """All that was counted, and what follows from it."""
    from model.cross_validation import rhythm_figures
    from model.ec57 import gross, pooled
    from model.evaluation.judging import spread
    from model.train import figures

    numbers: dict[str, Any] = {}
    for word in SAID:
        if not (some := getattr(everything, word)):
            continue
        folds = [dict(zip(FIGURES, figures(gross(getattr(tables, word).values())), strict=True)) for tables in results]
        numbers[word] = {
            "records": {name: t.counts.tolist() for name, t in sorted(some.items())},
            "gross": dict(zip(FIGURES, figures(gross(some.values())), strict=True)),
            "folds": folds,
            "spread": {name: spread(folds, name) for name in FIGURES},
        }
    if everything.tachycardia:
        called = {name: [told.hits, told.total] for name, told in sorted(everything.tachycardia.items())}
        numbers["tachycardia"] = {"records": called, "gross": pooled(everything.tachycardia.values()).percent}
    if everything.rhythms:
        counts = {name: told.tolist() for name, told in sorted(everything.rhythms.items())}
        numbers["rhythms"] = {"records": counts, "gross": rhythm_figures(everything.rhythms.values())}
    return numbers


def _say_rhythms(console: Console, name: str, tables: Tables) -> None:
    """What is read of each rhythm, in hearts the rhythm head was not fitted to."""
    from model.cross_validation import rhythm_figures

    if not tables.rhythms:
        return
    for rhythm, told in rhythm_figures(tables.rhythms.values()).items():
        figures = f"Se {percent(told['Se'], 1)}  +P {percent(told['+P'], 1)} of {told['beats']} beats"
        console.print(f"{name}, rhythm {rhythm}, beat by beat: {figures}")


def _cross_validate(
    console: Console,
    passages: Sequence[Passage],
    config: TrainingConfig,
    parts: int,
    json_file: Path | None,
    work: Path | None,
) -> None:
    from dataclasses import asdict

    from rich.table import Table

    from model.cross_validation import Tables, cross_validate
    from model.ec57 import gross, pooled
    from model.evaluation.arms import ARMS, ProbabilityCache
    from model.store import language
    from model.train import figures
    from stream import outputs

    title = f"EC57, gross, detected beats, {parts}-fold by subject"
    table = Table("subjects", "word", *FIGURES, title=title)
    everything = Tables.empty()

    def row(name: str, tables: Tables) -> None:
        for word, meaning in SAID.items():
            if not (some := getattr(tables, word)):
                continue
            values = figures(gross(some.values()))
            table.add_row(name, meaning, *(percent(value, 1) for value in values))
            told = "  ".join(f"{n} {percent(v, 1)}" for n, v in zip(FIGURES, values, strict=True))
            console.print(f"{name}, {meaning}: {told}")
        if tables.tachycardia:
            called = pooled(tables.tachycardia.values())
            said_of = f"{called.hits} of {called.total} beats" if called.total else "none marked"
            console.print(f"{name}, ventricular tachycardia by its rhythm only, called V: {said_of}")
        _say_rhythms(console, name, tables)

    def report(number: int, tables: Tables) -> None:
        everything.add(tables)
        row(f"part {number + 1}", tables)

    kept = ProbabilityCache(work, passages, parts) if work is not None else None

    def keep(number: int, chosen: TrainingConfig, words: dict[str, Any]) -> None:
        if kept is not None:
            kept.put(ARMS[0].name, number, chosen, words)

    results = cross_validate(passages, config, parts, report, keep)
    for database in dict.fromkeys([*config.databases, *(p.split("/")[0] for p in config.unannotated)]):
        if (of := everything.of(database)).last or of.rhythms:
            row(database, of)
    row("all", everything)
    numbers: dict[str, Any] = {"language": language(), "config": asdict(config)} | _numbers(everything, results)
    for word in filter(numbers.__contains__, SAID):
        around = numbers[word]["spread"].values()
        table.add_row("spread (SD of parts)", SAID[word], *(percent(value, 1) for value in around))
    wide_console(stderr=console.stderr).print(table)
    if json_file is not None:
        outputs.write_numbers(json_file, numbers)
