"""Records -> passages: the words of every beat as the bedside says them, with the reference's class beside them.

Every record is played through the online code in short steps, so the network learns from what it will be given: beats
the detector found, windows cut at 300 ms, the patient's own beat learned on the way. A found beat has the class of the
reference beat that EC57's matching pairs it with. One without a partner is labelled as of no class, Q:
what noise makes of nothing is neither normal nor ectopic (where that holds not, see `label`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NoReturn

import numpy as np
import numpy.typing as npt

from detector.detector import Detector
from detector.types import AFTER, LEADS, RATE
from model.codes import CLASSES
from model.ec57 import CLASS_OF, Annotations, Period, header, pair, read
from model.letters import TEXT
from model.sentence import beat_to_words
from model.state import LANGUAGE
from model.strip import Strip, read_strip
from model.subjects import source_of, subject_of
from model.variants import (
    COMPOSED,
    HELD_OUT_MIXES,
    WITH_NOISE,
    changed,
    composed,
    read_noise,
)
from model.words import FIELDS, RR
from replay.folders import database_of
from replay.framing import hold
from stream.errors import RecordError

#: Label of each WFDB beat symbol in training, after AAMI. Escape beats (e j n) come late like nothing else in their
#: class, and the literature puts them in either N or S: they have none.
LABEL_OF: Final[dict[str, str]] = {
    **dict.fromkeys("NLRB", "N"),
    **dict.fromkeys("SAaJ", "S"),
    **dict.fromkeys("VEr", "V"),
    "F": "F",
    **dict.fromkeys("Q/f?", "Q"),
}
#: The records of mitdb that de Chazal et al. (IEEE Trans Biomed Eng 51:1196, 2004) give to development.
DS1: Final = (
    *("101", "106", "108", "109", "112", "114", "115", "116", "118", "119", "122"),
    *("124", "201", "203", "205", "207", "208", "209", "215", "220", "223", "230"),
)
#: Paced records of mitdb: they show what paced beats are, but EC57 does not score them, nor any other with such a beat.
PACED: Final = frozenset({("mitdb", "102"), ("mitdb", "104"), ("mitdb", "107"), ("mitdb", "217")})
PACED_BEAT: Final = "/"
#: Databases for training that are not scored: in cpsc2021 only beats in and around atrial fibrillation are of use, and
#: there an early beat is no premature one.
TRAINING_ONLY: Final = frozenset({"cpsc2021"})
UNLABELLED: Final = -1
REFERENCE: Final = "atr"  # annotator of reference annotations, by custom
STEP_S: Final = 0.25  # s of signal given at once, as a bedside monitor sends it
ALONE_S: Final = 3.0  # s from the nearest reference beat beyond which nobody has read the record: no label


@dataclass(frozen=True, eq=False)
class Passage:
    """What was said of one record.

    Attributes
    ----------
    database, record, kind : str
        Where it is from and its variant, of `VARIANTS`.
    rate_hz : float
        Of the record.
    samples : int64 (n,)
        R peaks, in samples of the record.
    texts : uint8 (n, LEADS, TEXT)
    values : float32 (n, FIELDS)
    levels : int64 (n, FIELDS)
    labels : int8 (n,)
        Index into `CLASSES`, or `UNLABELLED`.
    reference : Annotations
    length : int or None
        Samples of the record, where it is known.
    """

    database: str
    record: str
    kind: str
    rate_hz: float
    samples: npt.NDArray[np.int64]
    texts: npt.NDArray[np.uint8]
    values: npt.NDArray[np.float32]
    levels: npt.NDArray[np.int64]
    labels: npt.NDArray[np.int8]
    reference: Annotations
    length: int | None = None

    @property
    def subject(self) -> str:
        """Whose heart it is."""
        return subject_of(self.database, self.record)

    @property
    def follows(self) -> npt.NDArray[np.bool_]:
        """Whether each beat came soon enough after the one before to have the last word on it."""
        told: npt.NDArray[np.bool_] = np.isfinite(self.values[:, RR])
        return told

    @property
    def annotated(self) -> bool:
        """Whether a reader has told its beats."""
        return any(symbol in CLASS_OF for symbol in self.reference.symbols)

    @property
    def rhythm_only(self) -> bool:
        """Whether a reader has told its rhythms, but none of its beats."""
        return not self.annotated and not {"+", "["}.isdisjoint(self.reference.symbols)

    @property
    def scored(self) -> bool:
        """Whether EC57 wants it in a table."""
        return self.why_not_scored is None

    @property
    def why_not_scored(self) -> str | None:
        """Why no table has it; None if one has."""
        if not self.annotated:
            return "none of its beats is annotated"
        if self.database in TRAINING_ONLY:
            return "nearly all of its beats are normal, which flatters: it is for training only"
        if source_of(self.database, self.record) in PACED or PACED_BEAT in self.reference.symbols:
            return "its heart is paced, which EC57 leaves out"
        return None


def sentences_of(
    strip: Strip, beats: npt.NDArray[np.int64] | None = None
) -> tuple[npt.NDArray[np.int64], Any, Any, Any]:
    """Play a strip through the online code; samples, texts, values and levels of its beats.

    Parameters
    ----------
    strip : Strip
    beats : int64 (n,), optional
        R peaks to take, in samples and in order, as if the detector had found these and no others.
    """
    detector = Detector(strip.rate_hz, strip.mv_per_bit)
    state = np.zeros(1, LANGUAGE)[0]
    size = max(int(strip.rate_hz * STEP_S), 1)
    waiting: list[tuple[int, int, float]] = []  # tick of each R peak, that from which it is known, its log odds
    if beats is not None:
        ticks_of = [round(int(sample) * RATE / strip.rate_hz) for sample in beats]
        waiting += [(tick, tick, np.nan) for tick in ticks_of]
    lead_states = np.zeros(LEADS, np.int8)
    epochs: list[tuple[int, npt.NDArray[np.int8]]] = []
    ticks: list[int] = []
    texts, values, levels = [], [], []
    played = hold(strip.samples, round(strip.rate_hz * 1000))
    for start in range(0, len(played), size):
        peaks, states = detector.update(played[start : start + size])
        if beats is None:
            waiting += [(int(peak["tick"]), int(peak["found"]), float(peak["log_odds"])) for peak in peaks]
        epochs += [(int(epoch["tick"]), epoch["lead"].copy()) for epoch in states]
        while waiting and (due := max(waiting[0][0] + AFTER, waiting[0][1])) < detector.signal["end"]:
            tick, _, log_odds = waiting.pop(0)
            while epochs and epochs[0][0] < due:  # as the ward does: the epoch that ends with it comes after it
                lead_states = epochs.pop(0)[1]
            text, value = np.empty((LEADS, TEXT), np.uint8), np.empty(FIELDS, np.float32)
            level = np.empty(FIELDS, np.int64)
            beat_to_words(state, detector.signal, tick, log_odds, lead_states, text, value, level)
            ticks.append(tick)
            texts.append(text)
            values.append(value)
            levels.append(level)
    samples = np.array([detector.sample_of(tick) for tick in ticks], np.int64)
    shape = (len(ticks),)
    return (
        samples,
        np.array(texts, np.uint8).reshape(*shape, LEADS, TEXT),
        np.array(values, np.float32).reshape(*shape, FIELDS),
        np.array(levels, np.int64).reshape(*shape, FIELDS),
    )


def passage(
    folder: Path,
    record: str,
    kind: str = "plain",
    *,
    noise_folder: Path | None = None,
    seed: int = 0,
    annotator: str = REFERENCE,
    oracle: bool = False,
) -> Passage:
    """One record of a database folder in one variant (`changed`, `composed`), analysed and labelled.

    With `oracle` its beats are those of the reference, not those the detector finds.

    Raises
    ------
    RecordError
        Its signal or its reference annotation cannot be read.
    """
    original = read_strip(folder / record)
    rng = np.random.default_rng([seed, *f"{database_of(folder)}/{record}/{kind}".encode()])
    reference = read(folder, record, annotator, original.rate_hz)
    if kind in COMPOSED:
        strip, reference = composed(original, reference, rng)
    else:
        noise = read_noise(noise_folder) if kind in WITH_NOISE and noise_folder is not None else None
        if noise is not None and (database_of(folder), record) in HELD_OUT_MIXES:
            noise = noise.without("em")
        strip = changed(original, kind, reference, noise, rng)
    beats = reference.samples[[symbol in CLASS_OF for symbol in reference.symbols]] if oracle else None
    return labelled_passage(strip, reference, (database_of(folder), record, kind), original.rate_hz, beats)


def without_annotation(
    folder: Path, record: str, kind: str = "plain", *, noise_folder: Path | None = None, seed: int = 0
) -> Passage:
    """One record whose beats nobody has annotated, in one of the variants `CHANGED`: analysed, and not labelled.

    Where noise is measured by beats, it is by those the detector finds in the record as it is. Its reference are the
    rhythms, where somebody has annotated those.

    Raises
    ------
    RecordError
        Its signal or what there is of a reference annotation cannot be read.
    """
    original = read_strip(folder / record)
    rng = np.random.default_rng([seed, *f"{database_of(folder)}/{record}/{kind}".encode()])
    noise = read_noise(noise_folder) if kind in WITH_NOISE and noise_folder is not None else None
    found = sentences_of(original)[0] if noise is not None else np.zeros(0, np.int64)
    strip = changed(original, kind, Annotations.of(found, "N" * len(found)), noise, rng)
    told = folder / f"{record}.{REFERENCE}"
    rhythms = read(folder, record, REFERENCE, original.rate_hz) if told.exists() else Annotations.of([], "")
    return labelled_passage(strip, rhythms, (database_of(folder), record, kind), original.rate_hz)


def labelled_passage(
    strip: Strip,
    reference: Annotations,
    name: tuple[str, str, str],
    rate_hz: float,
    beats: npt.NDArray[np.int64] | None = None,
) -> Passage:
    """A strip analysed and labelled.

    Parameters
    ----------
    strip : Strip
    reference : Annotations
    name : tuple of str
        Database, record and kind.
    rate_hz : float
        Of the record, by which beats are paired; that of the strip, unless its pace was changed.
    beats : int64 (n,), optional
        As in `sentences_of`.
    """
    samples, texts, values, levels = sentences_of(strip, beats)
    labels = label(samples, reference, rate_hz)
    return Passage(*name, rate_hz, samples, texts, values, levels, labels, reference, len(strip.samples))


def label(samples: npt.NDArray[np.int64], reference: Annotations, rate_hz: float) -> npt.NDArray[np.int8]:
    """Training labels, int8 (n,), of the beats found, int64 (n,): an index into `CLASSES`, or `UNLABELLED`.

    What has no partner in the reference is Q, unless it lies in fibrillation, where EC57 counts no beats, or far from
    any beat that a reader has marked. Records composed anew have lost the marks of fibrillation: of mitdb/207 some
    waves of flutter are Q there.
    """
    found = Annotations.of(samples, "N" * len(samples))
    pairs = pair(reference, found, Period.of(rate_hz, start_s=0.0))
    marked = reference.samples[[symbol in CLASS_OF for symbol in reference.symbols]]
    labels = np.full(len(samples), UNLABELLED, np.int8)
    for found_at, reference_at in zip(pairs.test, pairs.reference, strict=True):
        if found_at >= 0 and reference_at >= 0:
            if known := LABEL_OF.get(reference.symbols[reference_at]):
                labels[found_at] = CLASSES.index(known)
        elif found_at >= 0 and len(marked) and np.abs(marked - samples[found_at]).min() < ALONE_S * rate_hz:
            labels[found_at] = CLASSES.index("Q")
    return labels


def is_annotated(path: Path, annotator: str = REFERENCE) -> bool:
    """Whether a record has reference annotations of its beats.

    Raises
    ------
    RecordError
        Its annotation file or the header beside it cannot be read.
    """
    if not path.with_name(f"{path.name}.{annotator}").exists():
        return False
    rate_hz, _ = header(path.parent, path.name)
    return any(symbol in CLASS_OF for symbol in read(path.parent, path.name, annotator, rate_hz).symbols)


def refuse(reason: str) -> NoReturn:
    """What is done about a record that cannot be read where nobody is there to be told: nothing else is done."""
    raise RecordError(reason)


def records_of(folder: Path, remark: Callable[[str], object] = refuse) -> list[str]:
    """Records of a folder that have reference annotations of their beats.

    Parameters
    ----------
    folder : Path
    remark : callable
        Told of each record that cannot be read, and why: it is left out, unless this raises.

    Raises
    ------
    RecordError
        There are none.
    """
    names = []
    for path in sorted(file.with_suffix("") for file in folder.glob("*.hea")):
        try:
            if is_annotated(path):
                names.append(path.name)
        except RecordError as error:
            remark(str(error))
    if not names:
        raise RecordError(
            f"{folder}: no annotated WFDB records; check --data-dir or fetch them with `telebeat download`"
        )
    return names
