"""Records -> passages: the words of every beat as the bedside says them, with the reference's class beside them.

Every record is played through the online code in short steps, so the network learns from what it will be given: beats
the detector found, windows cut at 300 ms, the patient's own beat learned on the way. A found beat has the class of the
reference beat that EC57's matching pairs it with; one without a partner teaches nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import wfdb

from detector.detector import Detector
from detector.leads import choose
from detector.types import AFTER, LEADS, RATE
from model.compose import compose
from model.ec57 import CLASS_OF, Annotations, Period, pair, read
from model.letters import TEXT
from model.reader import CLASSES
from model.sentence import describe
from model.state import LANGUAGE
from model.words import FIELDS, RR
from replay.framing import hold
from replay.records import read_record
from stream.errors import RecordError

#: Class of each WFDB beat symbol as it is taught, after AAMI. Escape beats (e j n) come late like nothing else in
#: their class, and the literature puts them in either N or S: they teach nothing.
TAUGHT: Final[dict[str, str]] = {
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
#: Paced records of mitdb: they teach what paced beats are, but EC57 does not score them.
PACED: Final = frozenset({"102", "104", "107", "217"})
#: Databases that teach but are not scored: in cpsc2021 only beats in and around atrial fibrillation are of use, where
#: an early beat is no premature one.
ONLY_TAUGHT: Final = frozenset({"cpsc2021"})
UNTAUGHT: Final = -1
STEP_S: Final = 0.25  # s of signal given at once, as a bedside monitor sends it
MISSING: Final = -32768  # the sample that stands for no reading
MICROVOLT: Final = 1e-3  # mV per step of signals that were changed: far below any amplifier's noise
NOISE_DB: Final = (0.0, 18.0)  # range of signal-to-noise ratio of noisy variants
COMPOSED: Final = ("composed", "composed-2", "composed-3")  # variants with other beats, each by another lot
VARIANTS: Final = ("plain", "swap", "noise", "pace", "single", *COMPOSED)
COMPOSED_SWAP, COMPOSED_PACE = 0.4, 0.3  # share of them that have their leads exchanged, their pace changed besides
PACE: Final = (0.88, 1.14)  # range of the factor on the heart's pace of variants with a changed rate


@dataclass(frozen=True, eq=False)
class Strip:
    """A record's signal, as steps of a known size.

    Attributes
    ----------
    rate_hz : float
    samples : int16 (n, LEADS)
    units : float64 (LEADS,)
        mV per step; NaN for a lead that is not there.
    """

    rate_hz: float
    samples: npt.NDArray[np.int16]
    units: npt.NDArray[np.float64]


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
        Index into `CLASSES`, or `UNTAUGHT`.
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
        """Whose heart it is; 201 and 202 of mitdb are one patient's."""
        return "mitdb/201" if (self.database, self.record) == ("mitdb", "202") else f"{self.database}/{self.record}"

    @property
    def follows(self) -> npt.NDArray[np.bool_]:
        """Whether each beat came soon enough after the one before to have the last word on it."""
        told: npt.NDArray[np.bool_] = np.isfinite(self.values[:, RR])
        return told

    @property
    def scored(self) -> bool:
        """Whether EC57 wants it in a table."""
        return self.database not in ONLY_TAUGHT and not (self.database == "mitdb" and self.record in PACED)


def read_strip(path: Path) -> Strip:
    """The leads of a WFDB record that the bedside would analyse, as it would be sent them.

    Raises
    ------
    RecordError
        The record cannot be read.
    """
    record = read_record(path)
    samples = np.full((len(record.samples), LEADS), MISSING, np.int16)
    units = np.full(LEADS, np.nan)
    for lead, column in enumerate(choose(record.leads)):
        if column >= 0:
            samples[:, lead] = record.samples[:, column]
            units[lead] = record.units_per_bit[column]
    return Strip(record.rate_mhz / 1000, samples, units)


def changed(strip: Strip, kind: str, noise: npt.NDArray[np.float32] | None, rng: np.random.Generator) -> Strip:
    """A strip as it could have been: the same beats under other conditions.

    Parameters
    ----------
    strip : Strip
    kind : {"plain", "swap", "noise", "pace", "single"}
        As it is; leads exchanged; noise recordings added; the heart faster or slower (and its waves with it); one
        lead off.
    noise : float32 (m, k) or None
        Noise recordings in mV, at whatever rate, for ``noise``.
    rng : numpy Generator
    """
    if kind == "swap":
        return Strip(strip.rate_hz, np.ascontiguousarray(strip.samples[:, ::-1]), strip.units[::-1].copy())
    if kind == "pace":
        return Strip(round(strip.rate_hz * rng.uniform(*PACE), 3), strip.samples, strip.units)
    if kind == "single":
        units = strip.units.copy()
        units[rng.integers(LEADS)] = np.nan
        return strip if np.isnan(units).all() else Strip(strip.rate_hz, strip.samples, units)
    if kind == "noise" and noise is not None:
        mv = mv_of(strip)
        for lead in range(LEADS):
            if np.isnan(mv[:, lead]).all():
                continue
            column = noise[:, rng.integers(noise.shape[1])]
            start = rng.integers(len(column))
            added = np.resize(np.roll(column, -start), len(mv)).astype(np.float64)
            added -= added.mean()
            ratio = 10 ** (-rng.uniform(*NOISE_DB) / 20)
            mv[:, lead] += added * ratio * np.nanstd(np.diff(mv[:, lead])) / np.std(np.diff(added))
        return strip_of(mv, strip.rate_hz)
    return strip


def composed(strip: Strip, reference: Annotations, rng: np.random.Generator) -> tuple[Strip, Annotations]:
    """A strip with other beats, composed of its own (`model.compose`), and their annotation; as it is if that fails."""
    if rng.random() < COMPOSED_SWAP:
        strip = changed(strip, "swap", None, rng)
    if rng.random() < COMPOSED_PACE:
        strip = changed(strip, "pace", None, rng)
    played = compose(mv_of(strip), strip.rate_hz, reference, rng)
    return (strip_of(played[0], strip.rate_hz), played[1]) if played is not None else (strip, reference)


def mv_of(strip: Strip) -> npt.NDArray[np.float64]:
    """Its leads in millivolts, float64 (n, LEADS); NaN where there is no reading."""
    mv: npt.NDArray[np.float64] = np.where(strip.samples == MISSING, np.nan, strip.samples * strip.units)
    return mv


def strip_of(mv: npt.NDArray[np.float64], rate_hz: float) -> Strip:
    """Millivolts (n, LEADS) as steps of a size that no amplifier is as fine as; a lead without readings is none."""
    steps = np.where(np.isnan(mv), MISSING, np.clip(np.rint(np.nan_to_num(mv) / MICROVOLT), -32767, 32767))
    return Strip(rate_hz, steps.astype(np.int16), np.where(np.isnan(mv).all(axis=0), np.nan, MICROVOLT))


def listen(strip: Strip, beats: npt.NDArray[np.int64] | None = None) -> tuple[npt.NDArray[np.int64], Any, Any, Any]:
    """Play a strip through the online code; samples, texts, values and levels of its beats.

    Parameters
    ----------
    strip : Strip
    beats : int64 (n,), optional
        R peaks to take, in samples and in order, as if the detector had found these and no others.
    """
    detector = Detector(strip.rate_hz, strip.units)
    state = np.zeros(1, LANGUAGE)[0]
    size = max(int(strip.rate_hz * STEP_S), 1)
    waiting: list[tuple[int, int]] = []  # tick of each R peak, and the tick from which it is known
    if beats is not None:
        ticks_of = [round(int(sample) * RATE / strip.rate_hz) for sample in beats]
        waiting += zip(ticks_of, ticks_of, strict=True)
    lead_states = np.zeros(LEADS, np.int8)
    epochs: list[tuple[int, npt.NDArray[np.int8]]] = []
    ticks: list[int] = []
    texts, values, levels = [], [], []
    played = hold(strip.samples, round(strip.rate_hz * 1000))
    for start in range(0, len(played), size):
        peaks, states = detector.update(played[start : start + size])
        if beats is None:
            waiting += [(int(peak["tick"]), int(peak["found"])) for peak in peaks]
        epochs += [(int(epoch["tick"]), epoch["lead"].copy()) for epoch in states]
        while waiting and (due := max(waiting[0][0] + AFTER, waiting[0][1])) < detector.signal["end"]:
            tick, _ = waiting.pop(0)
            while epochs and epochs[0][0] < due:  # as the ward does: the epoch that ends with it comes after it
                lead_states = epochs.pop(0)[1]
            text, value = np.empty((LEADS, TEXT), np.uint8), np.empty(FIELDS, np.float32)
            level = np.empty(FIELDS, np.int64)
            describe(state, detector.signal, tick, lead_states, text, value, level)
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
    annotator: str = "atr",
    oracle: bool = False,
) -> Passage:
    """One record of a database folder in one variant (`changed`, `composed`), listened to and labelled.

    With `oracle` its beats are those of the reference, not those the detector finds.

    Raises
    ------
    RecordError
        Its signal or its reference annotation cannot be read.
    """
    original = read_strip(folder / record)
    rng = np.random.default_rng([seed, *f"{folder.name}/{record}/{kind}".encode()])
    noise = noise_of(noise_folder) if kind == "noise" and noise_folder is not None else None
    reference = read(folder, record, annotator, original.rate_hz)
    strip = changed(original, kind, noise, rng)
    if kind in COMPOSED:
        strip, reference = composed(original, reference, rng)
    beats = reference.samples[[symbol in CLASS_OF for symbol in reference.symbols]] if oracle else None
    return hear(strip, reference, (folder.name, record, kind), original.rate_hz, beats)


def hear(
    strip: Strip,
    reference: Annotations,
    name: tuple[str, str, str],
    rate_hz: float,
    beats: npt.NDArray[np.int64] | None = None,
) -> Passage:
    """A strip listened to and labelled.

    Parameters
    ----------
    strip : Strip
    reference : Annotations
    name : tuple of str
        Database, record and kind.
    rate_hz : float
        Of the record, by which beats are paired; that of the strip, unless its pace was changed.
    beats : int64 (n,), optional
        As in `listen`.
    """
    samples, texts, values, levels = listen(strip, beats)
    found = Annotations.of(samples, "N" * len(samples))
    pairs = pair(reference, found, Period.of(rate_hz, start_s=0.0))
    labels = np.full(len(samples), UNTAUGHT, np.int8)
    for ours, theirs in zip(pairs.test, pairs.reference, strict=True):
        if ours >= 0 and theirs >= 0 and (taught := TAUGHT.get(reference.symbols[theirs])):
            labels[ours] = CLASSES.index(taught)
    return Passage(*name, rate_hz, samples, texts, values, levels, labels, reference, len(strip.samples))


def records_of(folder: Path) -> list[str]:
    """Records of a folder that have reference annotations.

    Raises
    ------
    RecordError
        There are none.
    """
    names = sorted(path.stem for path in folder.glob("*.atr") if path.with_suffix(".hea").exists())
    if not names:
        raise RecordError(
            f"{folder}: no annotated WFDB records; check --data-dir or fetch them with `telebeat download`"
        )
    return names


def noise_of(folder: Path) -> npt.NDArray[np.float32] | None:
    """Both leads of the noise recordings of a folder (`nstdb`), side by side; None without them."""
    columns = []
    for name in ("bw", "em", "ma"):
        if (folder / f"{name}.hea").exists():
            signal = wfdb.rdrecord(str(folder / name)).p_signal
            columns += [np.nan_to_num(signal[:, i]).astype(np.float32) for i in range(signal.shape[1])]
    if not columns:
        return None
    shortest = min(len(column) for column in columns)
    return np.stack([column[:shortest] for column in columns], axis=1)
