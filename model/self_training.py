"""Self-training: hearts whose beats nobody has annotated, with pseudo-labels by a network trained on annotated ones.

Annotated hearts are few, and how they differ is what a network reads in a new one. So a first training reads hearts
without annotation as well as it can; where it is sure of a beat, that is the beat's label for the second, in every
variant of the record: with noise, leads exchanged or one lead off, a beat is to be called what it was called as it is.
Where the first is not sure there is no label. (Scudder, IEEE Trans Inf Theory 11:363, 1965; with noise for the second
only, Xie et al., CVPR 2020.)

Where a reader has annotated the rhythm, if not the beats, that overrides the pseudo-labels: in a ventricular
tachycardia every beat is ventricular, whatever the first training makes of it. It met few of them: the annotated hearts
have hardly any that last, and hearts that know another rhythm than theirs for minutes are read wholly wrong.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from model.codes import CLASSES
from model.dataset import UNLABELLED, Passage, label
from model.ec57 import Annotations
from model.evaluation.judging import key
from model.train import Round, Trainer, TrainingConfig

UNSURE: Final = "e"  # an escape beat: a beat, so nothing near it is noise, and of a class without a label
TACHYCARDIA: Final = "(VT"  # the mark of ventricular tachycardia
FIBRILLATION: Final = "(VF"
#: What a rhythm that was marked says of its beats, whatever the first training thinks of them.
RHYTHM_SAYS: Final = {
    **dict.fromkeys((TACHYCARDIA, "(IVR", "(VER"), "V"),  # their slow sisters, idioventricular and escape
    **dict.fromkeys((FIBRILLATION, "(VFL", "(VFIB"), UNSURE),  # no beats: EC57 counts none there
    **dict.fromkeys(("(ASYS", "(NOISE"), "Q"),  # what is found there is none that a reader could tell
    **dict.fromkeys(("(P", "(PM"), UNSURE),  # paced, but not which of them
}
FIRST: Final = "first"  # folder of the first training's checkpoint, in that of the second


def self_train(
    passages: Sequence[Passage],
    config: TrainingConfig,
    folder: Path | None = None,
    report: Callable[[Round, int], None] = lambda *_: None,
) -> Trainer:
    """Train by the recipe that ships: once, or twice where there are hearts without annotation.

    Parameters
    ----------
    passages : sequence of Passage
        All records in all variants, annotated or not.
    config : TrainingConfig
    folder : Path, optional
        Where learning curve and checkpoint are kept, and found again.
    report : callable
        Called with each round, and the number of rounds of the training before it, at most.

    Returns
    -------
    Trainer
        That has run.
    """
    annotated = [p for p in passages if p.annotated]
    others = [p for p in passages if not p.annotated]
    if others:
        begun = None if folder is None else folder / FIRST
        first = Trainer(annotated, config, begun, lambda line: report(line, 0))
        first.run()
        annotated += labelled(others, lambda p: first.read(p).last, config.pseudo_label_from)
    before = config.epochs if others else 0
    trainer = Trainer(annotated, config, folder, lambda line: report(line, before))
    trainer.run()
    return trainer


def rhythms(passage: Passage) -> list[str]:
    """The rhythm that a reader has marked at each beat found, such as ``(VT``; empty where none was.

    From `[` to `]` it is fibrillation; what it is then the next mark tells.
    """
    reference = passage.reference
    marks = [i for i, symbol in enumerate(reference.symbols) if symbol in ("+", "[", "]")]
    told = {"[": FIBRILLATION, "]": ""}
    notes = ["", *(told.get(reference.symbols[i], reference.notes[i]) for i in marks)]
    return [notes[i] for i in np.searchsorted(reference.samples[marks], passage.samples, side="right")]


def labelled(
    passages: Sequence[Passage], read: Callable[[Passage], npt.NDArray[np.float32]], sure: Sequence[float]
) -> list[Passage]:
    """Passages without annotation, with labels by who reads each record as it is.

    Parameters
    ----------
    passages : sequence of Passage
        Each record as it is (``plain``), and its variants; a reader may have told their rhythms.
    read : callable
        Probabilities (n, classes) of a passage's beats.
    sure : sequence of float
        Probability from which on a beat's class is its label, for each class.
    """
    references = {}
    for p in passages:
        if p.kind == "plain" and len(p.samples):
            probabilities = read(p)
            told = [
                RHYTHM_SAYS.get(rhythm) or (CLASSES[best] if row[best] >= sure[best] else UNSURE)
                for rhythm, row, best in zip(rhythms(p), probabilities, probabilities.argmax(axis=1), strict=True)
            ]  # classes are called as WFDB calls their beats
            references[key(p)] = Annotations.of(p.samples, told)
    return [replace(p, labels=_labels(p, references[key(p)])) for p in passages if key(p) in references]


def _labels(passage: Passage, said: Annotations) -> npt.NDArray[np.int8]:
    """Labels of a passage's beats: what was said of those of the record as it is; none is Q where the rhythm says so.

    The waves of a tachycardia are found here in one variant and there in the other. One without a partner is no noise.
    """
    labels = label(passage.samples, said, passage.rate_hz)
    told = np.array([RHYTHM_SAYS.get(rhythm, "") for rhythm in rhythms(passage)])
    labels[(told == "Q")] = CLASSES.index("Q")
    labels[(told == UNSURE) | ((told == "V") & (labels != CLASSES.index("V")))] = UNLABELLED
    return labels
