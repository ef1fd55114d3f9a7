"""The language with parts taken out or put in, to see what each is worth.

Words that are withheld become "cannot be told", which the network knows: so the shipped weights can be asked to do
without them, and a network trained without them never learns of them.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from model.dataset import Passage
from model.letters import ISOELECTRIC
from model.words import WORDS

#: Words that speak of time: when the beat came, and how early and how long before the next its kind comes.
RR_WORDS: Final = tuple(
    word.name
    for word in WORDS
    if word.name == "rr"
    or word.name.startswith("rr/")
    or word.name
    in ("last/own", "shorter", "pair/half", "turns", "unrest", "jitter", "entropy", "scatter", "rare", "early", "pause")
)
#: Words that speak of the patient's kinds of beat.
KIND_WORDS: Final = tuple(
    word.name for word in WORDS if word.name in ("nearest", "share", "early", "pause", "kind", "kin", "again")
)


@dataclass(frozen=True)
class Ablation:
    """What the network is given.

    Attributes
    ----------
    text : bool
        Shape words, which come from the text of each lead's curve.
    tfidf : bool
        Shape words from TF-IDF vectors; else from plain counts of n-grams.
    silent : tuple of str
        Measured words withheld.
    memory : bool
        The network's state is carried from beat to beat.
    again : bool
        The last word is corrected once the next beat has been read; else it is the first.
    future : bool
        Words of the RR interval after the beat, which no bedside can have in time.
    """

    text: bool = True
    tfidf: bool = True
    silent: tuple[str, ...] = ()
    memory: bool = True
    again: bool = True
    future: bool = False


WHOLE: Final = Ablation()


def withheld(passage: Passage, ablation: Ablation) -> Passage:
    """A passage without the words that an ablation takes out."""
    texts, levels = passage.texts, passage.levels
    if not ablation.text:
        texts = np.full_like(texts, ISOELECTRIC)  # what stands for a lead that cannot be read
    if ablation.silent:
        levels = levels.copy()
        for name in ablation.silent:
            field = next(i for i, word in enumerate(WORDS) if word.name == name)
            levels[:, field] = WORDS[field].levels
    return replace(passage, texts=texts, levels=levels)
