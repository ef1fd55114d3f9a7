"""`telebeat score`: compare beat annotations with reference annotations by the rules of ANSI/AAMI EC57."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from stream.commands.shared import JsonFile, wide_console
from stream.errors import RecordError, SettingsError
from stream.figures import NOTHING, percent

if TYPE_CHECKING:
    from rich.console import Console

    from model.ec57 import Ratio, RecordScore, Score


def score(
    reference: Annotated[Path, typer.Argument(metavar="REF", help="folder of reference annotations and headers")],
    test: Annotated[Path, typer.Argument(metavar="TEST", help="folder of annotations to judge")],
    *,
    annotator: Annotated[str, typer.Option(help="suffix of the files to judge")] = "tb",
    reference_annotator: Annotated[str, typer.Option(help="suffix of the reference files")] = "atr",
    records: Annotated[
        list[str] | None, typer.Option(help="names, repeated or separated by commas or blanks; default: those in TEST")
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="all records of REF, also those that TEST has not")] = False,
    start: Annotated[str, typer.Option("--from", help="start of the test period, seconds or m:ss")] = "5:00",
    end: Annotated[str | None, typer.Option("--to", help="its end; default: the record's")] = None,
    window: Annotated[float, typer.Option(min=0, max=10_000, help="match window, ms")] = 150.0,
    af_rhythms: Annotated[str, typer.Option(help="rhythms that count as AF episodes, such as AFIB,AFL")] = "AFIB",
    vf_rhythms: Annotated[
        str | None,
        typer.Option(
            help="rhythms that count as VF beside [ ], such as VFL,VFIB,VT; default: those that begin with VF, where "
            "the reference has no [; '' for [ ] alone"
        ),
    ] = None,
    without_flutter: Annotated[
        bool, typer.Option("--without-flutter", help="AF told in reference flutter counts for nothing (EC38:1998)")
    ] = False,
    json_file: JsonFile = None,
    csv: Annotated[bool, typer.Option("--csv", help="print CSV instead of the table")] = False,
) -> None:
    """Judge annotations by ANSI/AAMI EC57: beats, runs and episodes of fibrillation, per record, gross and average.

    Without --records or --all, the records that have a test file are scored; with one of them, a record without a test
    file counts as all missed. A file that cannot be read stops no other.
    """
    import sys

    from rich.console import Console

    from stream import outputs
    from stream.times import seconds

    for folder in (reference, test):
        if not folder.is_dir():
            raise RecordError(f"{folder}: no such folder")
    known = _known(reference, reference_annotator)
    names = _names(known, reference, test, records, every=every, annotator=annotator)
    if (to_stdout := outputs.numbers(json_file)) and csv:
        raise SettingsError("--csv and --json - both go to the standard output; name a file for the JSON")
    start_s = seconds(start)
    end_s = seconds(end) if end is not None else None
    if end_s is not None and end_s <= start_s:
        raise SettingsError(f"--to {end} does not lie behind --from {start}: there is nothing between them to score")
    vf_named = None if vf_rhythms is None else _rhythms(vf_rhythms)
    result, failed = _scored(
        names,
        reference,
        test,
        annotator=annotator,
        reference_annotator=reference_annotator,
        start_s=start_s,
        end_s=end_s,
        window_s=window / 1000.0,
        af_rhythms=_rhythms(af_rhythms),
        vf_rhythms=vf_named,
        without_flutter=without_flutter,
    )
    loud = Console(stderr=True, markup=False, highlight=False, soft_wrap=True)
    if not records and not every:
        _print_left_out(known, names, test, annotator, reference_annotator, loud)
    for reason in failed.values():
        loud.print(f"not scored: {reason}", style="bold red")
    _print_remarks(result, test, annotator, start, loud)
    if vf_named is None:
        _print_by_rhythm(result, loud)
    if json_file is not None:
        about = {
            "from_s": start_s,
            "to_s": end_s,
            "window_ms": window,
            "annotator": annotator,
            "reference_annotator": reference_annotator,
            "failed": failed,
            "af_rhythms": _rhythms(af_rhythms),
            "vf_rhythms": vf_named,
            "without_flutter": without_flutter,
        }
        outputs.write_numbers(json_file, {**about, **result.as_dict()})
    if csv:
        _write_csv(result, sys.stdout)
    elif result.records:
        _print_tables(result, wide_console(stderr=to_stdout))
    if failed:
        first = next(iter(failed.values()))
        raise RecordError(f"{len(failed)} of {len(names)} records could not be scored, the first: {first}")


SPARSE: Final = 3  # false positives for each beat marked: no detector is so bad, so the reference is not whole


def _scored(names: list[str], reference: Path, test: Path, **how: Any) -> tuple[Score, dict[str, str]]:
    """The score of the records that can be read (`model.ec57.score_files`), and why the others cannot."""
    from model.ec57 import Score, score_files

    scored: list[RecordScore] = []
    failed: dict[str, str] = {}
    for name in names:
        try:
            scored.append(score_files(reference, test, name, **how))
        except RecordError as error:
            failed[name] = str(error)
    return Score.of(scored), failed


def _print_tables(result: Score, console: Console) -> None:
    """All of it for people."""
    _print_beats(result, console)
    _print_counts(result, console)
    _print_runs(result, console)
    _print_episodes(result, console)


def _known(reference: Path, annotator: str) -> list[str]:
    """Names of the records that have reference annotations, with their folders below that of the reference."""
    from replay import folders

    ending = f".{annotator}"
    found = folders.files(reference, ending)
    if not found:
        raise RecordError(f"{reference}: no *.{annotator} here; choose another --reference-annotator")
    return [path.relative_to(reference).as_posix().removesuffix(ending) for path in found]


def _names(
    known: list[str], reference: Path, test: Path, chosen: list[str] | None, *, every: bool, annotator: str
) -> list[str]:
    """Names of the records to score, each with a test file of its own or none."""
    from model.ec57.files import found_as
    from replay.records import wanted

    if chosen:
        names = list(dict.fromkeys(_place(name, known) for name in wanted(chosen)))
    else:
        names = known if every else [name for name in known if found_as(test, name, annotator) is not None]
    if not names:
        raise RecordError(f"{test}: no *.{annotator} of a record in {reference}; choose another folder or --annotator")
    taken: dict[str, str] = {}
    for name in names:
        file = found_as(test, name, annotator)
        if file is not None and (other := taken.setdefault(file, name)) != name:
            raise RecordError(
                f"{test / file}.{annotator} would be judged as {other} and as {name}, and can be of one only; say of "
                f"which, such as --records {other}, or name the folder of its database instead of {reference}"
            )
    return names


def _place(name: str, known: list[str]) -> str:
    """The record of this name, in whatever folder it is, if there is only one."""
    name = Path(name.removesuffix(".hea")).as_posix()
    found = [name] if name in known else [place for place in known if place.endswith(f"/{name}")]
    if len(found) > 1:
        raise RecordError(f"record {name} is in several folders ({', '.join(found)}); name one of these")
    return found[0] if found else name


def _print_left_out(
    known: list[str], names: list[str], test: Path, annotator: str, reference_annotator: str, loud: Console
) -> None:
    """Say how many records of the reference have no test file, and which test files have no reference."""
    from model.ec57.files import found_as
    from replay import folders

    if len(known) > len(names):
        loud.print(
            f"{len(known) - len(names)} of {len(known)} records have no {annotator} file and are not scored (--all)"
        )
    ending = f".{annotator}"
    there = [path.relative_to(test).as_posix().removesuffix(ending) for path in folders.files(test, ending)]
    used = {found_as(test, name, annotator) for name in names}
    if bare := [name for name in there if name not in used]:
        loud.print(
            f"{len(bare)} of {len(there)} {annotator} files have no {reference_annotator} file to be scored by: "
            f"{', '.join(bare[:5])}{', ...' if len(bare) > 5 else ''}",
            style="yellow",
        )


def _print_remarks(result: Score, test: Path, annotator: str, start: str, loud: Console) -> None:
    """Say why there may be less in the tables than was thought."""
    short = [record.record for record in result.records if record.beats.period_s <= 0.0]
    if short:
        loud.print(
            f"{len(short)} of {len(result.records)} records have nothing to score after {start} ({', '.join(short[:3])}"
            f"{', ...' if len(short) > 3 else ''}): use --from 0",
            style="bold red",
        )
    for record in result.records:
        if record.late:
            loud.print(
                f"{record.record}: {record.late} beats of the {annotator} file lie behind the end of the record and do "
                "not count: is it of another record, or written at another sampling rate?",
                style="bold red",
            )
        beats = record.beats
        if record.missing:
            file = test / f"{record.record}.{annotator}"
            loud.print(f"{record.record}: there is no {file}: all beats count as missed", style="bold red")
        elif record.rhythm_only:
            loud.print(
                f"{record.record}: the reference marks rhythms and no beats, so only episodes are scored; is there "
                "another --reference-annotator?",
                style="yellow",
            )
        elif beats.true_positives > 0 and beats.false_positives > SPARSE * (
            beats.true_positives + beats.false_negatives
        ):
            loud.print(
                f"{record.record}: the reference marks {beats.true_positives + beats.false_negatives} beats, and "
                f"{beats.false_positives} more were found: if it marks only a part of the record, score that part by "
                "--from and --to",
                style="yellow",
            )
        elif beats.true_positives + beats.false_negatives == 0 and beats.false_positives:
            loud.print(
                f"{record.record}: the reference marks no beats in what is scored: "
                f"all {beats.false_positives} found count as false",
                style="bold red",
            )


def _print_by_rhythm(result: Score, loud: Console) -> None:
    """Say in which records fibrillation is what the reference marks as a rhythm."""
    if by_rhythm := [record.record for record in result.records if record.vf_rhythms]:
        loud.print(
            f"{len(by_rhythm)} of {len(result.records)} references mark ventricular fibrillation as a rhythm only "
            f"({', '.join(by_rhythm[:3])}{', ...' if len(by_rhythm) > 3 else ''}): there rhythms that begin with (VF "
            "count as VF; name others with --vf-rhythms, or '' for none"
        )


def _rhythms(text: str) -> list[str]:
    """The beginnings of rhythm notes from ``AFIB,AFL``."""
    return [f"({name.lstrip('(')}" for name in text.replace(",", " ").split()]


def _ms(value: float | None, sign: str = "") -> str:
    return NOTHING if value is None else f"{value:{sign}.1f}"


#: Columns of the table that are ratios: heading, name of the statistic.
_RATIOS = (
    ("QRS Se", "qrs_se"),
    ("QRS +P", "qrs_ppv"),
    ("F1", "qrs_f1"),
    ("VEB Se", "veb_se"),
    ("VEB +P", "veb_ppv"),
    ("SVEB Se", "sveb_se"),
    ("SVEB +P", "sveb_ppv"),
)


def _print_beats(result: Score, console: Console) -> None:
    """A row for each record, the sum and the average."""
    from rich.table import Table

    table = Table(title="Beats")
    table.add_column("record")
    counts = ("beats", "FN", "FP")
    times = ("RR ms", "offset ms", "IQR", "shut s")
    for heading in (*counts, *(heading for heading, _ in _RATIOS), *times):
        table.add_column(heading, justify="right", overflow="fold")
    for record in (*result.records, result.gross):
        beats = record.beats
        ratios: dict[str, Ratio] = record.ratios()
        if record is result.gross:
            table.add_section()
        table.add_row(
            record.record,
            str(beats.true_positives + beats.false_negatives),
            str(beats.false_negatives),
            str(beats.false_positives),
            *(percent(ratios[name].percent) for _, name in _RATIOS),
            _ms(beats.rr_error_ms),
            _ms(beats.offset_median_ms, "+"),
            _ms(beats.offset_iqr_ms),
            f"{beats.shutdown_s:.0f}",
            style="bold red" if record.missing else "bold" if record is result.gross else "",
        )
    means = result.average()
    cells = [*(percent(means[name]) for _, name in _RATIOS), _ms(means["rr_error_ms"])]
    table.add_row("average", "", "", "", *cells, style="bold")
    console.print(table)
    beats = result.gross.beats
    if beats.noise_s > 0.0:
        clear = beats.clear
        console.print(
            f"Declared noisy or unreadable: {beats.noise_s:.0f} of {beats.period_s:.0f} s "
            f"({100.0 * beats.noise_s / beats.period_s:.1f} %); outside of it QRS Se {percent(clear.qrs_se.percent)}, "
            f"+P {percent(clear.qrs_ppv.percent)}."
        )


def _print_counts(result: Score, console: Console) -> None:
    """The gross table of beat labels."""
    from rich.table import Table

    from model.ec57 import LABELS

    table = Table(title="Reference (rows) and test labels, gross; O: no beat, X: no beat in shutdown")
    table.add_column("")
    for label in LABELS:
        table.add_column(label.lower(), justify="right")
    for label, row in zip(LABELS, result.gross.beats.counts.tolist(), strict=True):
        table.add_row(label, *map(str, row))
    console.print(table)


def _quotient(ratio: Ratio) -> str:
    """A percentage with its counts."""
    return f"{percent(ratio.percent)} ({ratio.hits:.0f}/{ratio.total:.0f})" if ratio.total else NOTHING


def _print_runs(result: Score, console: Console) -> None:
    """Gross and average of each kind and length of run that there is."""
    from rich.table import Table

    ratios, means = result.gross.ratios(), result.average()
    table = Table(title="Runs")
    for heading in ("", "Se gross", "Se average", "+P gross", "+P average"):
        table.add_column(heading, justify="right" if heading else "left")
    for origin, name in (("v", "ventricular"), ("s", "supraventricular")):
        for length in ("couplet", "short_run", "long_run"):
            se, ppv = f"{origin}_{length}_se", f"{origin}_{length}_ppv"
            if ratios[se].total or ratios[ppv].total:
                cells = (_quotient(ratios[se]), percent(means[se]), _quotient(ratios[ppv]), percent(means[ppv]))
                table.add_row(f"{name} {length.replace('_', ' ')}", *cells)
    if table.row_count:
        console.print(table)


def _print_episodes(result: Score, console: Console) -> None:
    """A row for each record with episodes, the sum and the average."""
    from rich.table import Table

    names = ("episode_se", "episode_ppv", "duration_se", "duration_ppv")
    means = result.average()
    for kind, title in (("af", "Atrial fibrillation"), ("vf", "Ventricular fibrillation")):
        table = Table(title=f"{title}: episodes, and their duration in seconds")
        table.add_column("record")
        for heading in ("episodes Se", "episodes +P", "duration Se", "duration +P"):
            table.add_column(heading, justify="right")
        for record in (*result.records, result.gross):
            if record is result.gross:
                table.add_section()
            ratios = record.ratios()
            quotients = [ratios[f"{kind}_{name}"] for name in names]
            if any(q.total for q in quotients):
                style = "bold" if record is result.gross else ""
                table.add_row(record.record, *(_quotient(q) for q in quotients), style=style)
        if table.row_count:
            table.add_row("average", *(percent(means[f"{kind}_{name}"]) for name in names), style="bold")
            console.print(table)


def _write_csv(result: Score, out: Any) -> None:
    """A line for each record, the sum and the average."""
    import csv

    names = list(result.gross.ratios())
    extra = ["rr_error_ms", "offset_median_ms", "offset_iqr_ms", "offset_p95_ms", "period_s", "shutdown_s", "noise_s"]
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["record", "tp", "fn", "fp", *names, *extra])
    for record in (*result.records, result.gross):
        row = record.as_dict()
        counts = [row[c] for c in ("record", "tp", "fn", "fp")]
        writer.writerow([*counts, *(row[n]["percent"] for n in names), *(row[e] for e in extra)])
    means = result.average()
    writer.writerow(["average", "", "", "", *(means[n] for n in names), *(means.get(e, "") for e in extra)])
