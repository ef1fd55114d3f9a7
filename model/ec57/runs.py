"""Run-by-run comparison of ectopic beats, as ANSI/AAMI EC57 orders it and the reference program `rxr` does it.

A run is a couplet (2 beats), a short run (3 to 5) or a long run (6 or more). The ventricular ones are made of V and F
beats, and fibrillation from `[` to `]` or under a rhythm ``(VF...`` is a long one; the supraventricular ones are made
of S beats, and atrial fibrillation or flutter under a rhythm ``(AF...``, in which N beats count as S, is a long one.
For sensitivity each reference run is compared with the longest run of the test annotator in a window from one match
window before its first to one match window after its last beat; for positive predictivity the roles are changed.

As in `rxr`, a run whose beats lead into fibrillation keeps their number as its length, and an annotation that has
served in the window of one run does not serve in that of the next. A run that is going on when the test period ends is
counted with what it has by then; `rxr` does so only at the end of the annotations. Fibrillation that a beat breaks off
before its closing mark is looked for around its start; `rxr` then uses the end of the window before. The first
annotation at or after the start of the test period does not count if it lies behind its end; in `rxr` it does.

References
----------
ANSI/AAMI EC57:2012; G. B. Moody, Evaluating ECG Analyzers, WFDB Applications Guide.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from model.codes import UNREADABLE
from model.ec57.annotations import CLASS_OF, NEVER, Annotations
from model.ec57.beats import Period
from model.ec57.ratio import Ratio

LONG: Final = 6  # EC57: runs of more than five beats are not told apart
LENGTHS: Final = LONG + 1  # rows and columns of a table: 0, 1, 2, 3, 4, 5, more


class Kind(NamedTuple):
    """What makes a run: its beats, the marks that open and close one of unknown length, those that end it early."""

    beats: str
    opens: str
    closes: str
    cuts: str


VENTRICULAR: Final = Kind(beats="VF", opens="[", closes="]", cuts="{U")
SUPRAVENTRICULAR: Final = Kind(beats="S", opens="{", closes="}", cuts="[U")

#: Beats of any class, and the start of shutdown: what is not of the run's kind among them ends it.
ENDING: Final = "NSVFQU"


class Event(NamedTuple):
    """A beat's class, `[` `]` fibrillation, `{` `}` atrial fibrillation, or `U` for the start of shutdown."""

    sample: int
    letter: str


class Run(NamedTuple):
    """A run's length (at most `LONG`) and the window in which it is to be found."""

    length: int
    begin: int
    end: int


@dataclass(frozen=True, slots=True, eq=False)
class RunTable:
    """Result of a run-by-run comparison.

    Attributes
    ----------
    by_reference, by_test : ndarray of int64, shape (7, 7)
        Runs by length in the reference (row) and in the test annotations (column): those the reference annotator
        defines, for sensitivity, and those the test annotator defines, for positive predictivity.
    """

    by_reference: NDArray[np.int64]
    by_test: NDArray[np.int64]

    def se(self, shortest: int, longest: int) -> Ratio:
        """Share of the reference runs of these lengths for which the test annotator has one at least of their kind."""
        rows = self.by_reference[shortest : longest + 1]
        return Ratio(int(rows[:, shortest:].sum()), int(rows.sum()))

    def ppv(self, shortest: int, longest: int) -> Ratio:
        """Share of the test runs of these lengths for which the reference has one at least of their kind."""
        columns = self.by_test[:, shortest : longest + 1]
        return Ratio(int(columns[shortest:].sum()), int(columns.sum()))

    def ratios(self) -> dict[str, Ratio]:
        """Sensitivity and positive predictivity for couplets, short and long runs."""
        kinds = {"couplet": (2, 2), "short_run": (3, 5), "long_run": (LONG, LONG)}
        return {
            f"{name}_{statistic}": of(*lengths)
            for name, lengths in kinds.items()
            for statistic, of in (("se", self.se), ("ppv", self.ppv))
        }


def compare_runs(reference: Annotations, test: Annotations, kind: Kind, period: Period) -> RunTable:
    """Compare the runs of two annotators of one record.

    Parameters
    ----------
    reference, test : Annotations
        Of one record at one sampling rate.
    kind : Kind
        `VENTRICULAR` or `SUPRAVENTRICULAR`.
    period : Period
        What to compare: runs count from the first beat in it.
    """
    return compare_events(events(reference), events(test), kind, period)


def compare_events(ref_events: list[Event], test_events: list[Event], kind: Kind, period: Period) -> RunTable:
    """`compare_runs` for who compares more than one kind and makes the events once."""
    by_reference = np.zeros((LENGTHS, LENGTHS), dtype=np.int64)
    by_test = np.zeros((LENGTHS, LENGTHS), dtype=np.int64)
    if period.empty:
        return RunTable(by_reference, by_test)
    answers = _Answers(test_events, kind)
    for run in _runs(ref_events, kind, period):
        by_reference[run.length, answers.longest(run)] += 1
    answers = _Answers(ref_events, kind)
    for run in _runs(test_events, kind, period):
        by_test[answers.longest(run), run.length] += 1
    return RunTable(by_reference, by_test)


def gross_runs(tables: Iterable[RunTable]) -> RunTable:
    """One table of the runs of all records."""
    many = list(tables)
    none = np.zeros((LENGTHS, LENGTHS), dtype=np.int64)
    return RunTable(sum((t.by_reference for t in many), none), sum((t.by_test for t in many), none))


def events(annotations: Annotations) -> list[Event]:
    """What bears on runs: beats (N is S in atrial fibrillation), bounds of fibrillation, start of shutdown."""
    found: list[Event] = []
    atrial = ventricular = unreadable = False
    rows = zip(annotations.samples.tolist(), annotations.symbols, annotations.subtypes, annotations.notes, strict=True)
    for sample, symbol, subtype, note in rows:
        letter = CLASS_OF.get(symbol, "")
        if letter == "N" and atrial:
            letter = "S"
        elif symbol == "~":
            began = subtype & UNREADABLE == UNREADABLE
            letter = "U" if began and not unreadable else ""
            unreadable = began
        elif symbol == "[" or (symbol == "+" and note.startswith("(VF")):
            letter = "" if ventricular else "["
            atrial, ventricular = (atrial, True) if ventricular else (False, True)
        elif symbol == "]":
            letter = "]" if ventricular else ""
            ventricular = False
        elif symbol == "+" and note.startswith("(AF"):
            letter = "" if atrial else "{"
            atrial, ventricular = (True, ventricular) if atrial else (True, False)
        elif symbol == "+" and note and atrial:
            letter, atrial = "}", False
        elif symbol == "+" and note and ventricular:
            letter, ventricular = "]", False
        if letter:
            found.append(Event(sample, letter))
    return found


def _runs(of: list[Event], kind: Kind, period: Period) -> Iterable[Run]:
    """The runs of one annotator in the test period, single beats among them."""
    last = NEVER if period.end is None else period.end
    length = begin = end = 0
    for sample, letter in of:
        if sample > last:
            break
        if sample < period.start:
            # Beats of the learning period do not count; fibrillation that reaches into the test period does.
            if letter == kind.opens:
                length, begin, end = LONG, period.start - period.window, period.start + period.window
            elif letter in "]}":
                length = 0
        elif letter in kind.beats:
            if length == 0:
                begin = sample - period.window
            length = min(length + 1, LONG)
            end = sample + period.window
        elif letter == kind.opens and length == 0:
            length, begin, end = LONG, sample - period.window, sample + period.window
        elif letter == kind.closes and length:
            end = sample + period.window
        elif letter in ENDING and length:
            yield Run(length, begin, end)
            length = 0
    if length:
        yield Run(length, begin, end)


class _Answers:
    """The other annotator, asked for his longest run within one window after the other."""

    def __init__(self, of: list[Event], kind: Kind) -> None:
        self._events = of
        self._kind = kind
        self._next = 0
        self._long_until = 0  # end of the last fibrillation met: it answers every window that begins before

    def longest(self, run: Run) -> int:
        """Length of the longest run within the window, at most `LONG`."""
        of, kind = self._events, self._kind
        if self._long_until > run.begin:
            return LONG
        while self._next < len(of) and of[self._next].sample < run.begin:
            if of[self._next].letter == kind.opens and self._close() > run.begin:
                return LONG
            self._next += 1
        longest = length = 0
        while self._next < len(of) and of[self._next].sample <= run.end:
            letter = of[self._next].letter
            if letter == kind.opens:
                self._close()
                return LONG
            if letter in kind.beats:
                length = min(length + 1, LONG)
                longest = max(longest, length)
            elif letter in ENDING or letter in kind.cuts:
                length = 0
            self._next += 1
        return longest

    def _close(self) -> int:
        """Go to the event that ends the fibrillation that begins here; its sample."""
        of, kind = self._events, self._kind
        self._next += 1
        while self._next < len(of) and of[self._next].letter not in kind.closes + kind.cuts:
            self._next += 1
        end = of[self._next].sample if self._next < len(of) else NEVER
        self._long_until = end
        return end
