"""Annotations as EC57 sees them: beats in five classes, periods of fibrillation, shutdown and noise."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from model.codes import ALL_NOISY, CLASSES, UNREADABLE

#: Class of each WFDB beat symbol. A symbol that is not here is no beat; `!` is a flutter wave, `?` a learned beat.
CLASS_OF: Final[dict[str, str]] = {
    **dict.fromkeys("NLRB", "N"),
    **dict.fromkeys("SAaJejn", "S"),
    **dict.fromkeys("VEr", "V"),
    "F": "F",
    **dict.fromkeys("Q/f?", "Q"),
}

#: Symbols of a rhythm that begins or ends.
RHYTHM: Final = frozenset("+[]")

#: Later than any sample: the end of a period that no annotation closes, and the time of a beat that is not there.
NEVER: Final = 2**62


@dataclass(frozen=True, slots=True, eq=False)
class Annotations:
    """The annotations of one record by one annotator, in order of time.

    Attributes
    ----------
    samples : ndarray of int64, shape (n,)
        Sample index of each annotation at the record's sampling rate, not falling.
    symbols : tuple of str
        WFDB symbols (`N`, `V`, `+`, `~`, `[` ...).
    subtypes : tuple of int
        WFDB subtypes; bits 4 and 5 of a `~` mark unreadable signals.
    notes : tuple of str
        Auxiliary strings: the rhythm of a `+`, such as ``(AFIB``.
    """

    samples: NDArray[np.int64]
    symbols: tuple[str, ...]
    subtypes: tuple[int, ...]
    notes: tuple[str, ...]

    @classmethod
    def of(
        cls,
        samples: ArrayLike,
        symbols: Sequence[str],
        subtypes: Sequence[int] | None = None,
        notes: Sequence[str] | None = None,
    ) -> Annotations:
        """Annotations from plain sequences of one length; without subtypes and notes these are 0 and empty.

        Raises
        ------
        ValueError
            If the lengths differ or the samples are not in order.
        """
        times = np.asarray(samples, dtype=np.int64).reshape(-1)
        kinds = tuple(int(s) for s in subtypes) if subtypes is not None else (0,) * len(times)
        texts = tuple(n.rstrip("\0 ") for n in notes) if notes is not None else ("",) * len(times)
        if not len(times) == len(symbols) == len(kinds) == len(texts):
            raise ValueError(
                f"samples, symbols, subtypes and notes must have one length, "
                f"not {len(times)}, {len(symbols)}, {len(kinds)} and {len(texts)}"
            )
        if np.any(np.diff(times) < 0):
            raise ValueError("annotations must be in order of time: sort them by sample first")
        return cls(times, tuple(symbols), kinds, texts)

    def __len__(self) -> int:
        return len(self.samples)

    def without(self, symbols: Collection[str]) -> Annotations:
        """All but those of these symbols."""
        left = [i for i, symbol in enumerate(self.symbols) if symbol not in symbols]
        return Annotations.of(
            self.samples[left],
            [self.symbols[i] for i in left],
            [self.subtypes[i] for i in left],
            [self.notes[i] for i in left],
        )


class Periods:
    """Stretches of a record, both ends included; overlapping ones are joined.

    Parameters
    ----------
    stretches : iterable of (int, int)
        First and last sample of each.
    """

    def __init__(self, stretches: Iterable[tuple[int, int]] = ()) -> None:
        self.begins: list[int] = []
        self.ends: list[int] = []
        for begin, end in sorted(stretches):
            if self.ends and begin <= self.ends[-1]:
                self.ends[-1] = max(self.ends[-1], end)
            else:
                self.begins.append(begin)
                self.ends.append(end)

    def cover(self, sample: int) -> bool:
        """Whether the sample lies in one of the stretches."""
        i = bisect_right(self.begins, sample) - 1
        return i >= 0 and sample <= self.ends[i]

    def begin_between(self, first: int, last: int) -> bool:
        """Whether a stretch begins at or after `first` and before `last`."""
        return bisect_left(self.begins, first) < bisect_left(self.begins, last)

    def length_within(self, first: int, last: int) -> int:
        """Samples of the stretches that lie between `first` and `last`."""
        return sum(
            max(0, min(end, last) - max(begin, first)) for begin, end in zip(self.begins, self.ends, strict=True)
        )


@dataclass(frozen=True, slots=True, eq=False)
class Beats:
    """What a beat-by-beat comparison needs of one annotator.

    Attributes
    ----------
    index : list of int
        Position of each beat in the annotations it came from.
    samples : list of int
        Its sample.
    classes : list of int
        Its class, an index into `CLASSES`.
    fibrillation, shutdown, noise : Periods
        Ventricular flutter or fibrillation (`[` to `]`), declared unreadable signal, and what is declared to be noisy
        or unreadable in both signals.
    """

    index: list[int]
    samples: list[int]
    classes: list[int]
    fibrillation: Periods
    shutdown: Periods
    noise: Periods


def beats(annotations: Annotations, window: int) -> Beats:
    """The beats outside of ventricular fibrillation, and the periods of fibrillation and shutdown.

    Beats between `[` and the next `]` are left out. Shutdown begins at a `~` whose subtype has both `UNREADABLE` bits
    and ends at the `~` that follows it at once and has not both. If any other annotation follows instead, the `~` is
    a lone mark within its period, as in the AHA database: that reaches from one match window after the beat or the end
    of fibrillation before it to one match window before the next annotation, and is none where these two windows leave
    no time between them. Noise is shutdown, and what begins at a `~` that says of both signals that they are noisy or
    unreadable, not both unreadable, up to the next `~`: EC57 has no word for it, beats are told in it.

    Parameters
    ----------
    annotations : Annotations
        Of one annotator.
    window : int
        Match window in samples.
    """
    index: list[int] = []
    samples: list[int] = []
    classes: list[int] = []
    fibrillation: list[tuple[int, int]] = []
    shutdown: list[tuple[int, int]] = []
    times: list[int] = annotations.samples.tolist()
    symbols = annotations.symbols
    count = len(times)
    i = 0
    while i < count:
        symbol = symbols[i]
        label = CLASS_OF.get(symbol)
        if label is not None:
            index.append(i)
            samples.append(times[i])
            classes.append(CLASSES.index(label))
        elif symbol == "[":
            begin = times[i]
            while i < count and symbols[i] != "]":
                i += 1
            fibrillation.append((begin, times[i] if i < count else NEVER))
        elif symbol == "~" and annotations.subtypes[i] & UNREADABLE == UNREADABLE:
            if i + 1 == count:
                shutdown.append((times[i], NEVER))
            elif symbols[i + 1] == "~" and annotations.subtypes[i + 1] & UNREADABLE != UNREADABLE:
                shutdown.append((times[i], times[i + 1]))
                i += 1
            else:
                before = max(samples[-1] if samples else 0, fibrillation[-1][1] if fibrillation else 0)
                begin, end = before + window, times[i + 1] - window
                if begin <= end:
                    shutdown.append((begin, end))
        i += 1
    noise = Periods([*shutdown, *_noise(annotations)])
    return Beats(index, samples, classes, Periods(fibrillation), Periods(shutdown), noise)


def _noise(annotations: Annotations) -> Iterator[tuple[int, int]]:
    """From each `~` of noise to the next `~`, wherever they lie; those of both signals unreadable are of shutdown."""
    marks = [i for i, symbol in enumerate(annotations.symbols) if symbol == "~"]
    ends = [*(int(annotations.samples[i]) for i in marks[1:]), NEVER]
    for i, end in zip(marks, ends, strict=False):
        subtype = int(annotations.subtypes[i])
        if _noisy(subtype) and subtype & UNREADABLE != UNREADABLE:
            yield int(annotations.samples[i]), end


def _noisy(subtype: int) -> bool:
    """Whether it says of both signals that they are noisy or unreadable."""
    return (subtype | subtype >> 4) & ALL_NOISY == ALL_NOISY
