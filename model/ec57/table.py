"""The table of a beat-by-beat comparison, and the statistics of ANSI/AAMI EC57 that are sums of its cells."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from math import sqrt
from typing import Final

import numpy as np
from numpy.typing import NDArray

from model.codes import CLASSES
from model.ec57.ratio import Ratio

#: Rows (reference) and columns (test) of a table: the classes, then the pseudo-beats.
LABELS: Final = (*CLASSES, "O", "X")
N, S, V, F, Q, O, X = range(7)  # noqa: E741 - the labels' own names


@dataclass(frozen=True, slots=True, eq=False)
class BeatTable:
    """Result of a beat-by-beat comparison of one record, or summed over records (`gross`).

    Attributes
    ----------
    counts : ndarray of int64, shape (7, 7)
        Pairs by reference label (row) and test label (column), in the order of `LABELS`.
    offsets_ms : ndarray of float64
        Test minus reference time of each pair of beats.
    rr_squares_ms2 : float
        Sum of squared RR interval differences.
    rr_count : int
        Number of these.
    period_s, shutdown_s, noise_s : float
        Length of the test period, how much of it the test annotator declared unreadable, and noisy or unreadable.
    clear_counts : ndarray of int64, shape (7, 7)
        The pairs of `counts` outside of what it declared noisy or unreadable.
    """

    counts: NDArray[np.int64]
    offsets_ms: NDArray[np.float64]
    rr_squares_ms2: float
    rr_count: int
    period_s: float
    shutdown_s: float
    noise_s: float
    clear_counts: NDArray[np.int64]

    @property
    def clear(self) -> BeatTable:
        """The same of the pairs outside of what the test annotator declared noisy or unreadable."""
        return replace(self, counts=self.clear_counts)

    def _sum(self, rows: Sequence[int], columns: Sequence[int]) -> int:
        return int(self.counts[np.ix_(rows, columns)].sum())

    @property
    def true_positives(self) -> int:
        """QRS found: pairs of two beats, whatever their classes."""
        return self._sum(range(5), range(5))

    @property
    def false_negatives(self) -> int:
        """QRS missed, in shutdown or not."""
        return self._sum(range(5), (O, X))

    @property
    def false_positives(self) -> int:
        """Test beats without a reference beat."""
        return self._sum((O, X), range(5))

    @property
    def qrs_se(self) -> Ratio:
        """QRS sensitivity; a beat missed in shutdown is missed."""
        return Ratio(self.true_positives, self.true_positives + self.false_negatives)

    @property
    def qrs_se_readable(self) -> Ratio:
        """QRS sensitivity over the beats outside of the test annotator's shutdown."""
        return Ratio(self.true_positives, self.true_positives + self._sum(range(5), (O,)))

    @property
    def qrs_ppv(self) -> Ratio:
        """QRS positive predictivity (+P)."""
        return Ratio(self.true_positives, self.true_positives + self.false_positives)

    @property
    def qrs_f1(self) -> Ratio:
        """Harmonic mean of QRS Se and +P, as the ratio of counts that it equals."""
        twice = 2 * self.true_positives
        return Ratio(twice, twice + self.false_negatives + self.false_positives)

    @property
    def veb_se(self) -> Ratio:
        """Ventricular ectopic beats labelled so."""
        return Ratio(self._sum((V,), (V,)), self._sum((V,), range(7)))

    @property
    def veb_ppv(self) -> Ratio:
        """Test VEBs that are; on a fusion or an unclassifiable beat the label V is neither right nor wrong."""
        return Ratio(self._sum((V,), (V,)), self._sum((N, S, V, O, X), (V,)))

    @property
    def veb_fpr(self) -> Ratio:
        """VEB false positive rate: wrong VEBs among all that no one should call VEB."""
        wrong = self._sum((N, S, O, X), (V,))
        return Ratio(wrong, wrong + self._sum((N, S, F, Q, O, X), (N, S, F, Q)))

    @property
    def sveb_se(self) -> Ratio:
        """Supraventricular ectopic beats labelled so."""
        return Ratio(self._sum((S,), (S,)), self._sum((S,), range(7)))

    @property
    def sveb_ppv(self) -> Ratio:
        """Test SVEBs that are; on an unclassifiable beat the label S is neither right nor wrong.

        On a fusion it is wrong, as in `bxb`; `sumstats`, to which `bxb` does not tell F from Q, sums up without these.
        """
        return Ratio(self._sum((S,), (S,)), self._sum((N, S, V, F, O, X), (S,)))

    @property
    def sveb_fpr(self) -> Ratio:
        """SVEB false positive rate: wrong SVEBs among all that no one should call SVEB."""
        wrong = self._sum((N, V, F, O, X), (S,))
        return Ratio(wrong, wrong + self._sum((N, V, F, Q, O, X), (N, V, F, Q)))

    @property
    def missed_in_shutdown(self) -> Ratio:
        """Reference beats that fell into the test annotator's shutdown and were not found."""
        return Ratio(self._sum(range(5), (X,)), self._sum(range(5), range(7)))

    @property
    def rr_error_ms(self) -> float | None:
        """Root mean square difference of RR intervals in ms; None without any."""
        return sqrt(self.rr_squares_ms2 / self.rr_count) if self.rr_count else None

    @property
    def offset_median_ms(self) -> float | None:
        """Median of test minus reference time in ms; None without a pair."""
        return float(np.median(self.offsets_ms)) if len(self.offsets_ms) else None

    @property
    def offset_iqr_ms(self) -> float | None:
        """Distance of the quartiles of test minus reference time in ms; None without a pair."""
        if not len(self.offsets_ms):
            return None
        lower, upper = np.percentile(self.offsets_ms, (25, 75))
        return float(upper - lower)

    @property
    def offset_p95_ms(self) -> float | None:
        """95th percentile of the distance of test from reference time in ms; None without a pair."""
        return float(np.percentile(np.abs(self.offsets_ms), 95)) if len(self.offsets_ms) else None


def gross(tables: Iterable[BeatTable]) -> BeatTable:
    """One table of the beats of all records: each beat counts the same."""
    many = list(tables)
    return BeatTable(
        counts=sum((t.counts for t in many), np.zeros((len(LABELS), len(LABELS)), dtype=np.int64)),
        offsets_ms=np.concatenate([np.zeros(0), *(t.offsets_ms for t in many)]),
        rr_squares_ms2=sum(t.rr_squares_ms2 for t in many),
        rr_count=sum(t.rr_count for t in many),
        period_s=sum(t.period_s for t in many),
        shutdown_s=sum(t.shutdown_s for t in many),
        noise_s=sum(t.noise_s for t in many),
        clear_counts=sum((t.clear_counts for t in many), np.zeros((len(LABELS), len(LABELS)), dtype=np.int64)),
    )
