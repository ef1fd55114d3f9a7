"""Episode-by-episode comparison of fibrillation, as ANSI/AAMI EC57 orders it and the program `epicmp` does it.

An episode counts as found if the other annotator has one that overlaps it at all; by duration, what counts is the time
that both call an episode. Atrial fibrillation is the rhythm ``(AFIB``, and what the test annotator calls so while the
reference says atrial flutter is wrong, as EC57 and EC38:2007 have it; on request it is left out of positive
predictivity, as EC38:1998 had it (`epicmp -x`). Ventricular fibrillation is `[` to `]`, and what begins with ``(VF`` in
a reference that marks it as a rhythm only (`vf_rhythms_of`), where `epicmp` would call all of it false; other rhythms
can be named.

Unlike `epicmp`, episodes without a length are not counted, records of unknown length are compared, and of a test
episode that begins in flutter left out only what comes after that counts; `epicmp -x` adds the flutter to it.

References
----------
ANSI/AAMI EC57:2012; G. B. Moody, Evaluating ECG Analyzers, WFDB Applications Guide.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from model.ec57.annotations import Annotations, Periods
from model.ec57.beats import Period
from model.ec57.ratio import Ratio

AF_RHYTHMS: Final = ("(AFIB",)
FLUTTER_RHYTHMS: Final = ("(AFL",)
VF_RHYTHMS: Final = ("(VF",)  # how the notes of ventricular fibrillation and flutter begin: (VF (VFIB (VFL


@dataclass(frozen=True, slots=True)
class EpisodeTable:
    """Result of an episode-by-episode comparison.

    Attributes
    ----------
    found, missed : int
        Reference episodes with and without a test episode.
    right, wrong : int
        Test episodes with and without a reference episode.
    overlap_s : float
        Time in both.
    reference_s, test_s : float
        Time in episodes of each annotator; of the test annotator's without reference flutter where that is left out.
    """

    found: int = 0
    missed: int = 0
    right: int = 0
    wrong: int = 0
    overlap_s: float = 0.0
    reference_s: float = 0.0
    test_s: float = 0.0

    def __add__(self, other: EpisodeTable) -> EpisodeTable:
        return EpisodeTable(
            self.found + other.found,
            self.missed + other.missed,
            self.right + other.right,
            self.wrong + other.wrong,
            self.overlap_s + other.overlap_s,
            self.reference_s + other.reference_s,
            self.test_s + other.test_s,
        )

    def ratios(self) -> dict[str, Ratio]:
        """Sensitivity and positive predictivity by episode and by duration."""
        return {
            "episode_se": Ratio(self.found, self.found + self.missed),
            "episode_ppv": Ratio(self.right, self.right + self.wrong),
            "duration_se": Ratio(self.overlap_s, self.reference_s),
            "duration_ppv": Ratio(self.overlap_s, self.test_s),
        }


def atrial(
    reference: Annotations,
    test: Annotations,
    rate_hz: float,
    period: Period,
    rhythms: Sequence[str] = AF_RHYTHMS,
    *,
    without_flutter: bool = False,
) -> EpisodeTable:
    """Compare atrial fibrillation.

    ``(AFL`` among the rhythms makes flutter count as such. `without_flutter` leaves what the test annotator says in
    reference flutter out of positive predictivity, unless flutter is among the rhythms.
    """
    flutter = [f for f in FLUTTER_RHYTHMS if without_flutter and not f.startswith(tuple(rhythms))]
    return _compare(
        _under(reference, rhythms, period),
        _under(test, rhythms, period),
        _under(reference, flutter, period),
        rate_hz,
        period,
    )


def ventricular(
    reference: Annotations, test: Annotations, rate_hz: float, period: Period, rhythms: Sequence[str] = ()
) -> EpisodeTable:
    """Compare ventricular fibrillation: `[` to `]`, and rhythms whose names begin as those given: ``(VF``, ``(VT``.

    A `]` ends such a rhythm too: there fibrillation is over, whatever comes next.
    """
    ref_spans, test_spans = (_bracketed(a, period) + _under(a, rhythms, period, "]") for a in (reference, test))
    return _compare(ref_spans, test_spans, [], rate_hz, period)


def vf_rhythms_of(reference: Annotations) -> tuple[str, ...]:
    """How the rhythms begin that count as ventricular fibrillation where none are named.

    None where the reference has a `[`: there it says by brackets what it means by fibrillation.
    """
    if "[" in reference.symbols:
        return ()
    marked = zip(reference.symbols, reference.notes, strict=True)
    return VF_RHYTHMS if any(symbol == "+" and note.startswith(VF_RHYTHMS) for symbol, note in marked) else ()


def _under(of: Annotations, rhythms: Sequence[str], period: Period, ends: str = "") -> list[tuple[int, int]]:
    """Stretches from a `+` whose note begins with one of the rhythms to the next `+` whose note does not, or `ends`."""
    wanted = tuple(rhythms)
    begin: int | None = None
    found: list[tuple[int, int]] = []
    for sample, symbol, note in zip(of.samples.tolist(), of.symbols, of.notes, strict=True):
        if symbol not in ("+", ends):
            continue
        if symbol == "+" and note.startswith(wanted) and wanted:
            begin = sample if begin is None else begin
        elif begin is not None:
            found.append((begin, sample))
            begin = None
    if begin is not None:
        found.append((begin, _last(of, period)))
    return found


def _bracketed(of: Annotations, period: Period) -> list[tuple[int, int]]:
    """Stretches from each `[` to the next `]`."""
    begin: int | None = None
    found: list[tuple[int, int]] = []
    for sample, symbol in zip(of.samples.tolist(), of.symbols, strict=True):
        if symbol == "[" and begin is None:
            begin = sample
        elif symbol == "]" and begin is not None:
            found.append((begin, sample))
            begin = None
    if begin is not None:
        found.append((begin, _last(of, period)))
    return found


def _last(of: Annotations, period: Period) -> int:
    """Where an episode ends that no annotation ends: the end of the test period or of the annotations, the later."""
    return max(int(of.samples[-1]), period.end or 0)


def _compare(
    ref_spans: list[tuple[int, int]],
    test_spans: list[tuple[int, int]],
    left_out: list[tuple[int, int]],
    rate_hz: float,
    period: Period,
) -> EpisodeTable:
    reference, test = (_within(Periods(e), period) for e in (ref_spans, test_spans))
    # A test episode counts with what of it lies outside of the stretches left out; one wholly within does not count.
    without = Periods(left_out)
    counted = [(b, e) for b, e in test if (e - b) > without.length_within(b, e)]
    test_samples = sum((e - b) - without.length_within(b, e) for b, e in counted)
    truth, claim = Periods(reference), Periods(counted)
    found = sum(claim.length_within(b, e) > 0 for b, e in reference)
    right = sum(truth.length_within(b, e) > 0 for b, e in counted)
    return EpisodeTable(
        found=found,
        missed=len(reference) - found,
        right=right,
        wrong=len(counted) - right,
        overlap_s=sum(truth.length_within(b, e) for b, e in counted) / rate_hz,
        reference_s=sum(e - b for b, e in reference) / rate_hz,
        test_s=test_samples / rate_hz,
    )


def _within(of: Periods, period: Period) -> list[tuple[int, int]]:
    """The parts of the stretches that lie in the test period, without empty ones."""
    last = period.end
    cut = ((max(b, period.start), e if last is None else min(e, last)) for b, e in zip(of.begins, of.ends, strict=True))
    return [(b, e) for b, e in cut if e > b]


def gross_episodes(tables: Iterable[EpisodeTable]) -> EpisodeTable:
    """One table of the episodes of all records."""
    return sum(tables, EpisodeTable())
