"""Ways to write annotations down in tests, and random ones for properties."""

from __future__ import annotations

import re
from itertools import accumulate

from hypothesis import strategies as st

from model.ec57 import Annotations

RATE = 360
WINDOW = 54  # 150 ms at 360 Hz


def parse(text: str) -> Annotations:
    """Annotations from words such as ``100N 460V 500~48 700+(AFIB``: sample, symbol, subtype of a ~ or note of a +."""
    found = [re.fullmatch(r"(\d+)(.)(.*)", word) for word in text.split()]
    rows = [m.groups() for m in found if m is not None]
    assert len(rows) == len(found), text
    return Annotations.of(
        [int(sample) for sample, _, _ in rows],
        [symbol for _, symbol, _ in rows],
        [int(rest or 0) if symbol == "~" else 0 for _, symbol, rest in rows],
        ["" if symbol == "~" else rest for _, symbol, rest in rows],
    )


def beats(smallest_gap: int = 1) -> st.SearchStrategy[Annotations]:
    """Nothing but beats of random classes, some of them very close."""
    beat = st.tuples(st.integers(smallest_gap, smallest_gap + 400), st.sampled_from("NNNSVFQ"))
    return st.lists(beat, max_size=25).map(_laid_out)


def mixed() -> st.SearchStrategy[Annotations]:
    """Beats, fibrillation, shutdown, rhythms and other marks, every period of them ended."""
    gap = st.integers(1, 400)
    beat = st.tuples(gap, st.sampled_from("NNNSVFQL/j"))
    mark = st.tuples(gap, st.sampled_from(["~1", "+(AFIB", "+(AFL", "+(N", "+(VFL", "+(VT", "|", "!", "x"]))
    closed = st.sampled_from([("[", "]"), ("~48", "~0"), ("~63", "~16")])
    period = st.tuples(gap, gap, closed).map(lambda p: [(p[0], p[2][0]), (p[1], p[2][1])])
    item = st.one_of(beat.map(lambda b: [b]), beat.map(lambda b: [b]), mark.map(lambda m: [m]), period)
    return st.lists(item, max_size=25).map(lambda items: _laid_out([word for words in items for word in words]))


def _laid_out(words: list[tuple[int, str]]) -> Annotations:
    times = accumulate(gap for gap, _ in words)
    return parse(" ".join(f"{time}{mark}" for time, (_, mark) in zip(times, words, strict=True)))
