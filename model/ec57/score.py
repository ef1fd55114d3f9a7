"""All EC57 comparisons of a record, and of a set of records gross and on average.

Gross and average are those of the program `sumstats`, from exact counts and times: it has them rounded to a per cent
for episodes, and without the fusion beats called S (`model.ec57.table.BeatTable.sveb_ppv`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from model.ec57.annotations import CLASS_OF, RHYTHM, Annotations
from model.ec57.beats import LEARNING_S, WINDOW_S, Period, pair, tabulate
from model.ec57.episodes import AF_RHYTHMS, EpisodeTable, atrial, gross_episodes, ventricular, vf_rhythms_of
from model.ec57.files import found_as, header, read
from model.ec57.ratio import Ratio, average
from model.ec57.runs import SUPRAVENTRICULAR, VENTRICULAR, RunTable, compare_events, events, gross_runs
from model.ec57.table import LABELS, BeatTable, gross

#: How far after the end of a record a test beat lies that is not just rounded or late: it is of another record or rate.
LATE_S: Final = 1.0

#: The beat-by-beat statistics, by their names in reports.
BEAT_RATIOS: Final[dict[str, Callable[[BeatTable], Ratio]]] = {
    "qrs_se": lambda t: t.qrs_se,
    "qrs_ppv": lambda t: t.qrs_ppv,
    "qrs_f1": lambda t: t.qrs_f1,
    "qrs_se_readable": lambda t: t.qrs_se_readable,
    "missed_in_shutdown": lambda t: t.missed_in_shutdown,
    "qrs_se_clear": lambda t: t.clear.qrs_se,
    "qrs_ppv_clear": lambda t: t.clear.qrs_ppv,
    "veb_se": lambda t: t.veb_se,
    "veb_ppv": lambda t: t.veb_ppv,
    "veb_fpr": lambda t: t.veb_fpr,
    "sveb_se": lambda t: t.sveb_se,
    "sveb_ppv": lambda t: t.sveb_ppv,
    "sveb_fpr": lambda t: t.sveb_fpr,
}


@dataclass(frozen=True, slots=True, eq=False)
class RecordScore:
    """One record's results.

    Attributes
    ----------
    record : str
        Its name, or the name of a sum over records.
    missing : bool
        True if there was no test annotation file: every beat counts as missed.
    beats : BeatTable
        Beat by beat.
    ventricular_runs, supraventricular_runs : RunTable
        Run by run.
    af, vf : EpisodeTable
        Episodes of atrial and of ventricular fibrillation.
    rhythm_only : bool
        The reference marks rhythms and no beat at all, as in vfdb: no beat is scored.
    vf_rhythms : sequence of str
        How the rhythms begin that count as ventricular fibrillation, beside `[` to `]`.
    late : int
        Test beats more than `LATE_S` after the end of the record: they count nowhere, and the file may be of another.
    """

    record: str
    missing: bool
    beats: BeatTable
    ventricular_runs: RunTable
    supraventricular_runs: RunTable
    af: EpisodeTable
    vf: EpisodeTable
    rhythm_only: bool = False
    vf_rhythms: Sequence[str] = ()
    late: int = 0

    def ratios(self) -> dict[str, Ratio]:
        """Every statistic that is a quotient, by name: ``qrs_se``, ``v_couplet_ppv``, ``af_duration_se`` ..."""
        parts = {
            "v": self.ventricular_runs.ratios(),
            "s": self.supraventricular_runs.ratios(),
            "af": self.af.ratios(),
            "vf": self.vf.ratios(),
        }
        named = {f"{part}_{name}": ratio for part, ratios in parts.items() for name, ratio in ratios.items()}
        return {**{name: of(self.beats) for name, of in BEAT_RATIOS.items()}, **named}

    def as_dict(self) -> dict[str, Any]:
        """Plain numbers for JSON: each ratio as ``{"percent", "hits", "total"}``, the table of counts by label."""
        beats = self.beats
        return {
            "record": self.record,
            "missing": self.missing,
            "rhythm_only": self.rhythm_only,
            "vf_rhythms": list(self.vf_rhythms),
            "late": self.late,
            **{k: {"percent": r.percent, "hits": r.hits, "total": r.total} for k, r in self.ratios().items()},
            "tp": beats.true_positives,
            "fn": beats.false_negatives,
            "fp": beats.false_positives,
            "rr_error_ms": beats.rr_error_ms,
            "offset_median_ms": beats.offset_median_ms,
            "offset_iqr_ms": beats.offset_iqr_ms,
            "offset_p95_ms": beats.offset_p95_ms,
            "period_s": beats.period_s,
            "shutdown_s": beats.shutdown_s,
            "noise_s": beats.noise_s,
            "table": {
                row: {column.lower(): int(beats.counts[i, j]) for j, column in enumerate(LABELS)}
                for i, row in enumerate(LABELS)
            },
        }


def score(
    record: str,
    reference: Annotations,
    test: Annotations | None,
    rate_hz: float,
    period: Period,
    *,
    af_rhythms: Sequence[str] = AF_RHYTHMS,
    vf_rhythms: Sequence[str] | None = None,
    without_flutter: bool = False,
) -> RecordScore:
    """Compare two annotators of one record; `test` None means that there is no file and all is missed.

    `af_rhythms` and `vf_rhythms` are how the notes of the rhythms begin that count as fibrillation in the comparison of
    episodes; `[` to `]` is ventricular fibrillation always, and with `vf_rhythms` None also what the reference marks as
    a rhythm only (`model.ec57.episodes.vf_rhythms_of`). `without_flutter` leaves what is told in reference flutter out
    of the positive predictivity of AF. Beats are scored only if the reference has any annotation of one, or none of a
    rhythm either.
    """
    if vf_rhythms is None:
        vf_rhythms = vf_rhythms_of(reference)
    found = test if test is not None else Annotations.of([], [])
    told = set(reference.symbols)
    rhythm_only = not told.isdisjoint(RHYTHM) and told.isdisjoint(CLASS_OF)
    beats = found.without(CLASS_OF.keys()) if rhythm_only else found
    ref_events, test_events = events(reference), events(beats)
    return RecordScore(
        record,
        test is None,
        tabulate(pair(reference, beats, period), rate_hz),
        compare_events(ref_events, test_events, VENTRICULAR, period),
        compare_events(ref_events, test_events, SUPRAVENTRICULAR, period),
        atrial(reference, found, rate_hz, period, af_rhythms, without_flutter=without_flutter),
        ventricular(reference, found, rate_hz, period, vf_rhythms),
        rhythm_only,
        vf_rhythms,
    )


def score_files(
    reference: Path | str,
    test: Path | str,
    record: str,
    *,
    annotator: str = "tb",
    reference_annotator: str = "atr",
    start_s: float = LEARNING_S,
    end_s: float | None = None,
    window_s: float = WINDOW_S,
    af_rhythms: Sequence[str] = AF_RHYTHMS,
    vf_rhythms: Sequence[str] | None = None,
    without_flutter: bool = False,
) -> RecordScore:
    """Compare ``test/record.annotator`` with ``reference/record.reference_annotator``.

    Sampling rate and length are those of the header in `reference`. A record in a folder of that, ``set_1/100``, may
    have its test file in the same folder of `test` or in `test` itself, where `telebeat annotate` puts it.

    Raises
    ------
    RecordError
        If header or reference annotations cannot be read, or a test file is there and cannot be.
    """
    reference, test = Path(reference), Path(test)
    rate_hz, length = header(reference, record)
    length_s = length / rate_hz if length is not None else None
    end_s = length_s if end_s is None else end_s if length_s is None else min(end_s, length_s)
    truth = read(reference, record, reference_annotator, rate_hz)
    place = found_as(test, record, annotator)
    found = read(test, place, annotator, rate_hz) if place is not None else None
    if end_s is not None:
        start_s = min(start_s, end_s)  # a record shorter than the learning period has nothing to score
    period = Period.of(rate_hz, start_s=start_s, end_s=end_s, window_s=window_s)
    result = score(
        record,
        truth,
        found,
        rate_hz,
        period,
        af_rhythms=af_rhythms,
        vf_rhythms=vf_rhythms,
        without_flutter=without_flutter,
    )
    return replace(result, late=_late(found, length, rate_hz))


def _late(found: Annotations | None, length: int | None, rate_hz: float) -> int:
    """Beats so far after the end of the record that they cannot be its own."""
    if found is None or length is None:
        return 0
    last = length + LATE_S * rate_hz
    return sum(
        sample > last and symbol in CLASS_OF
        for sample, symbol in zip(found.samples.tolist(), found.symbols, strict=True)
    )


@dataclass(frozen=True, slots=True, eq=False)
class Score:
    """Results of a set of records.

    Attributes
    ----------
    records : sequence of RecordScore
        One by one.
    gross : RecordScore
        Their sum: each beat counts the same.
    """

    records: Sequence[RecordScore]
    gross: RecordScore

    @classmethod
    def of(cls, records: Sequence[RecordScore]) -> Score:
        """Sum up."""
        total = RecordScore(
            "gross",
            False,
            gross(r.beats for r in records),
            gross_runs(r.ventricular_runs for r in records),
            gross_runs(r.supraventricular_runs for r in records),
            gross_episodes(r.af for r in records),
            gross_episodes(r.vf for r in records),
        )
        return cls(records, total)

    def average(self) -> dict[str, float | None]:
        """Mean of each statistic over the records in which it is defined, per cent: each record counts the same.

        And ``rr_error_ms``, the mean of the records' RR interval errors.
        """
        by_record = [r.ratios() for r in self.records]
        means = {name: average(r[name] for r in by_record) for name in self.gross.ratios()}
        errors = [e for e in (r.beats.rr_error_ms for r in self.records) if e is not None]
        return {**means, "rr_error_ms": sum(errors) / len(errors) if errors else None}

    def as_dict(self) -> dict[str, Any]:
        """Plain numbers for JSON."""
        return {
            "records": [r.as_dict() for r in self.records],
            "gross": self.gross.as_dict(),
            "average": self.average(),
        }
