"""Beat-by-beat comparison, as ANSI/AAMI EC57 orders it and the reference program `bxb` does it.

Every reference beat of the test period is paired with a test beat, or with the pseudo-beat `O` (missed) or `X` (missed
while the analyser had declared the signal unreadable); every test beat that is left is paired with `O`, or with `X`
where the reference calls the signal unreadable. Test beats within reference fibrillation are not counted.

Differences from `bxb`, of which only the first two touch a record that keeps to the annotation rules: shutdown time is
counted within the test period only, and what two periods share once; beats missed in shutdown take in class S. The
others: any number of periods of fibrillation and shutdown between two beats is remembered, not two; fibrillation or
shutdown that no annotation ends lasts to the end of the record; a lone mark of shutdown between beats that leave no
room for it is none, not one of a single sample; `!` outside of fibrillation is no beat, where `bxb` lets it take the
place of one and counts what it is paired with as extra or missed; and a beat in the first sample, or within a match
window of it where the test period begins there, is like any other, where `bxb` takes sample 0 for no beat yet.

References
----------
ANSI/AAMI EC57:2012, Testing and reporting performance results of cardiac rhythm and ST segment measurement algorithms.
G. B. Moody, Evaluating ECG Analyzers, WFDB Applications Guide.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from model.ec57.annotations import NEVER, Annotations, Beats, beats
from model.ec57.table import LABELS, BeatTable, O, X

WINDOW_S: Final = 0.150  # EC57: two annotations up to 150 ms apart may mark the same beat
LEARNING_S: Final = 300.0  # EC57: the first five minutes are the analyser's to learn in and are not scored


@dataclass(frozen=True, slots=True)
class Period:
    """What part of a record is compared and how far apart two marks of one beat may be, in samples.

    Attributes
    ----------
    start : int
        First sample of the test period.
    end : int or None
        Its last sample; None ends it with the last reference beat, for records of unknown length.
    window : int
        Match window.
    """

    start: int
    end: int | None
    window: int

    @property
    def empty(self) -> bool:
        """Whether it is without length, as of a record shorter than the learning period: nothing counts in it."""
        return self.end is not None and self.end <= self.start

    @classmethod
    def of(
        cls, rate_hz: float, *, start_s: float = LEARNING_S, end_s: float | None = None, window_s: float = WINDOW_S
    ) -> Period:
        """The period from seconds, rounded to the nearest sample.

        Raises
        ------
        ValueError
            If a time is negative, the period ends before it starts, or the rate is not above 0.
        """
        if rate_hz <= 0 or start_s < 0 or window_s < 0:
            raise ValueError("the sampling rate must be above 0, start and window not below 0")
        if end_s is not None and end_s < start_s:
            raise ValueError(f"the test period would end at {end_s:g} s, before it starts at {start_s:g} s")
        end = None if end_s is None else int(end_s * rate_hz + 0.5)
        return cls(int(start_s * rate_hz + 0.5), end, int(window_s * rate_hz + 0.5))


@dataclass(frozen=True, slots=True, eq=False)
class Pairs:
    """Which reference beat goes with which test beat.

    Attributes
    ----------
    reference, test : ndarray of int64, shape (n,)
        Position of the beat in the annotations given; -1 where there is none.
    reference_class, test_class : ndarray of int8, shape (n,)
        Indices into `LABELS`; `O` or `X` where there is no beat.
    offsets : ndarray of int64, shape (m,)
        Test sample minus reference sample of the m pairs that have both.
    rr_squares : int
        Sum of squared differences of reference and test RR interval, samples².
    rr_count : int
        How many differences that is.
    period : int
        Length of the test period in samples.
    shutdown, noise : int
        How much of it the test annotator declared unreadable, and noisy or unreadable, samples.
    declared : ndarray of bool, shape (n,)
        Which of the pairs lie in what it declared noisy or unreadable.
    """

    reference: NDArray[np.int64]
    test: NDArray[np.int64]
    reference_class: NDArray[np.int8]
    test_class: NDArray[np.int8]
    offsets: NDArray[np.int64]
    rr_squares: int
    rr_count: int
    period: int
    shutdown: int
    noise: int
    declared: NDArray[np.bool_]


def pair(reference: Annotations, test: Annotations, period: Period) -> Pairs:
    """Pair the beats of two annotators.

    Of a reference and a test beat, the earlier one, R or T, is dealt with first. They are paired if they are no further
    apart than the match window and either closer to each other than the later one is to the earlier one's successor, or
    the two successors fit each other better than that. Otherwise the earlier one stays alone.

    A test beat just before the test period may be paired with the first reference beat in it; one within a match window
    after its start that is not the first reference beat's best match belongs to a beat before it and is not counted.

    Parameters
    ----------
    reference, test : Annotations
        Of one record at one sampling rate.
    period : Period
        What to compare.
    """
    ref, tst = beats(reference, period.window), beats(test, period.window)
    rows, rr_squares, rr_count = _pair_rows(ref, tst, period)
    end = period.end if period.end is not None else max(ref.samples[-1] if ref.samples else 0, period.start)
    table = np.array([row.classes for row in rows], dtype=np.int64).reshape(-1, 4)
    return Pairs(
        reference=table[:, 0],
        test=table[:, 1],
        reference_class=table[:, 2].astype(np.int8),
        test_class=table[:, 3].astype(np.int8),
        offsets=np.array([row.offset for row in rows if row.offset is not None], dtype=np.int64),
        rr_squares=rr_squares,
        rr_count=rr_count,
        period=end - period.start,
        shutdown=tst.shutdown.length_within(period.start, end),
        noise=tst.noise.length_within(period.start, end),
        declared=np.array([row.declared for row in rows], dtype=np.bool_),
    )


class _Row(NamedTuple):
    """One pair: numbers and classes of both beats, whether it was declared noise, and their distance, if both are."""

    classes: tuple[int, int, int, int]
    declared: bool
    offset: int | None = None


def _pair_rows(ref: Beats, tst: Beats, period: Period) -> tuple[list[_Row], int, int]:
    """All pairs in their order, and the sum and number of squared differences of RR intervals."""
    rows: list[_Row] = []
    ref_at, tst_at = [*ref.samples, NEVER, NEVER], [*tst.samples, NEVER, NEVER]
    ref_rr, tst_rr = _rr(ref), _rr(tst)
    rr_squares = rr_count = 0
    i, j = _begin(ref_at, tst_at, period)
    while not period.empty and (
        i < len(ref.samples) if period.end is None else (ref_at[i] <= period.end or tst_at[j] <= period.end)
    ):
        r, t = ref_at[i], tst_at[j]
        # As bxb does, at every step: a missed or an extra beat shows as a large difference.
        if ref_rr[i] and tst_rr[j]:
            rr_squares += (ref_rr[i] - tst_rr[j]) ** 2
            rr_count += 1
        # The first test beat may lie before the period: it is there only because it fits the first reference beat.
        if _fit(ref_at, tst_at, i, j, period.window) or t < period.start:
            numbers = ref.index[i], tst.index[j], ref.classes[i], tst.classes[j]
            rows.append(_Row(numbers, tst.noise.cover(t), t - r))
            i += 1
            j += 1
        elif t < r:
            if not ref.fibrillation.cover(t):
                numbers = -1, tst.index[j], X if ref.shutdown.cover(t) else O, tst.classes[j]
                rows.append(_Row(numbers, tst.noise.cover(t)))
            j += 1
        else:
            numbers = ref.index[i], -1, ref.classes[i], X if tst.shutdown.cover(r) else O
            rows.append(_Row(numbers, tst.noise.cover(r)))
            i += 1
    return rows, rr_squares, rr_count


def _fit(ref_at: Sequence[int], tst_at: Sequence[int], i: int, j: int, window: int) -> bool:
    """Whether a reference and a test beat mark the same: near enough, and no better match lies beside them."""
    r, t = ref_at[i], tst_at[j]
    if t < r:
        rival = abs(r - tst_at[j + 1])
        return r - t <= window and (r - t < rival or abs(ref_at[i + 1] - tst_at[j + 1]) < rival)
    rival = abs(t - ref_at[i + 1])
    return t - r <= window and (t - r < rival or abs(tst_at[j + 1] - ref_at[i + 1]) < rival)


def _begin(ref: list[int], tst: list[int], period: Period) -> tuple[int, int]:
    """Positions of the first reference beat and the first test beat to compare."""
    i = bisect_left(ref, period.start)
    j = bisect_left(tst, period.start)
    if period.start == 0:
        return i, j
    first = ref[i]
    if j > 0 and first - tst[j - 1] <= period.window and first - tst[j - 1] < abs(first - tst[j]):
        return i, j - 1
    if tst[j] - period.start <= period.window and abs(first - tst[j + 1]) < abs(first - tst[j]):
        return i, j + 1
    return i, j


def _rr(of: Beats) -> list[int]:
    """RR interval that ends with each beat; 0 without a beat before, or if fibrillation or shutdown began in it."""
    rr = [0]
    for before, sample in zip(of.samples, of.samples[1:], strict=False):
        broken = of.fibrillation.begin_between(before, sample) or of.shutdown.begin_between(before, sample)
        rr.append(0 if broken else sample - before)
    return [*rr[: len(of.samples)], 0, 0]


def tabulate(pairs: Pairs, rate_hz: float) -> BeatTable:
    """Count pairs made at a sampling rate of `rate_hz`."""
    cells = pairs.reference_class.astype(np.int64) * len(LABELS) + pairs.test_class
    size = len(LABELS)
    ms = 1000.0 / rate_hz
    return BeatTable(
        counts=np.bincount(cells, minlength=size**2).reshape(size, size).astype(np.int64),
        offsets_ms=pairs.offsets.astype(np.float64) * ms,
        rr_squares_ms2=pairs.rr_squares * ms * ms,
        rr_count=pairs.rr_count,
        period_s=pairs.period / rate_hz,
        shutdown_s=pairs.shutdown / rate_hz,
        noise_s=pairs.noise / rate_hz,
        clear_counts=np.bincount(cells[~pairs.declared], minlength=size**2).reshape(size, size).astype(np.int64),
    )


def match(
    ref_samples: ArrayLike,
    ref_symbols: Sequence[str],
    test_samples: ArrayLike,
    test_symbols: Sequence[str],
    rate_hz: float,
    *,
    start_s: float = LEARNING_S,
    end_s: float | None = None,
    window_s: float = WINDOW_S,
    ref_subtypes: Sequence[int] | None = None,
    test_subtypes: Sequence[int] | None = None,
) -> BeatTable:
    """Compare two annotators of one record beat by beat.

    Parameters
    ----------
    ref_samples, test_samples : array_like of int
        Samples of all annotations, in order.
    ref_symbols, test_symbols : sequence of str
        Their WFDB symbols; those that are no beats may be among them.
    rate_hz : float
        Sampling rate of the record.
    start_s, end_s : float
        Test period; without an end it ends with the last reference beat.
    window_s : float
        Match window.
    ref_subtypes, test_subtypes : sequence of int, optional
        WFDB subtypes, needed only for shutdown.

    Examples
    --------
    >>> table = match([100, 460, 820], "NVN", [105, 470], "NN", 360, start_s=0)
    >>> table.qrs_se.percent, table.qrs_ppv.percent, table.veb_se.percent
    (66.66666666666667, 100.0, 0.0)
    """
    reference = Annotations.of(ref_samples, ref_symbols, ref_subtypes)
    test = Annotations.of(test_samples, test_symbols, test_subtypes)
    return tabulate(pair(reference, test, Period.of(rate_hz, start_s=start_s, end_s=end_s, window_s=window_s)), rate_hz)
