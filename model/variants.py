"""A record's signal, and variants of it: the same heart under other conditions, for training.

As it is, leads exchanged, noise added, its pace changed, one lead off, electrodes moved now and then, or its beats
composed anew (`model.compose`). Figures are of records as they are; cross-validation tells those of moved electrodes,
too.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
import wfdb

from detector.types import LEADS
from model.compose import NORMAL, compose
from model.ec57 import CLASS_OF, Annotations
from model.noise import KINDS, mix
from model.strip import Floats, Strip

NOISE_DB: Final = (0.0, 18.0)  # range of signal-to-noise ratio of what is noisy from begin to end, by their slopes
MOVED_DB: Final = (-3.0, 14.0)  # range of it where electrodes are moved now and then, by `model.noise.mix`
MOVED_S: Final = (15.0, 150.0)  # range of the lengths of stretches with noise and without
ELECTRODES: Final = 0.75  # share of records whose electrodes are moved; in the others it is muscles
COMPOSED: Final = ("composed", "composed-2", "composed-3")  # variants with other beats, each by another lot
MOVED: Final = ("moved", "moved-2", "moved-3")  # variants with electrodes moved now and then, each by another lot
CHANGED: Final = ("plain", "swap", "noise", "pace", "single", *MOVED)
WITH_NOISE: Final = ("noise", *MOVED)
CERTAIN: Final = ("plain", "swap")  # variants in which nothing is left to a lot
VARIANTS: Final = (*CHANGED, *COMPOSED)
COMPOSED_SWAP, COMPOSED_PACE = 0.4, 0.3  # share of them that have their leads exchanged, their pace changed besides
PACE: Final = (0.88, 1.14)  # range of the factor on the heart's pace of variants with a changed rate
#: With the noise of moving electrodes these are nstdb's own mixes, which are held out.
HELD_OUT_MIXES: Final = frozenset({("mitdb", "118"), ("mitdb", "119")})


@dataclass(frozen=True, eq=False)
class Noise:
    """Recordings of noise.

    Attributes
    ----------
    mv : dict of float32 (n, 2)
        Both leads of each recording, of `model.noise.KINDS`; all of one length.
    rate_hz : float
    """

    mv: dict[str, npt.NDArray[np.float32]]
    rate_hz: float

    def without(self, kind: str) -> Noise:
        """All but one recording."""
        return Noise({name: mv for name, mv in self.mv.items() if name != kind}, self.rate_hz)


def read_noise(folder: Path) -> Noise | None:
    """The noise recordings of a folder (`nstdb`); None without them."""
    read = {name: wfdb.rdrecord(str(folder / name)) for name in KINDS if (folder / f"{name}.hea").exists()}
    if not read:
        return None
    shortest = min(record.sig_len for record in read.values())
    mv = {name: np.nan_to_num(record.p_signal[:shortest]).astype(np.float32) for name, record in read.items()}
    return Noise(mv, float(next(iter(read.values())).fs))


def changed(strip: Strip, kind: str, reference: Annotations, noise: Noise | None, rng: np.random.Generator) -> Strip:
    """A strip as it could have been: the same beats under other conditions.

    Parameters
    ----------
    strip : Strip
    kind : str
        Of `CHANGED`: as it is; leads exchanged; noise added to all of it; the heart faster or slower (and its waves
        with it); one lead off; in stretches with electrodes moved or muscles tense.
    reference : Annotations
        Its beats, by which noise is measured.
    noise : Noise or None
        Without it, nothing is added.
    rng : numpy Generator
    """
    if kind == "swap":
        return Strip(strip.rate_hz, np.ascontiguousarray(strip.samples[:, ::-1]), strip.mv_per_bit[::-1].copy())
    if kind == "pace":
        return Strip(round(strip.rate_hz * rng.uniform(*PACE), 3), strip.samples, strip.mv_per_bit)
    if kind == "single":
        units = strip.mv_per_bit.copy()
        units[rng.integers(LEADS)] = np.nan
        return strip if np.isnan(units).all() else Strip(strip.rate_hz, strip.samples, units)
    if kind == "noise" and noise is not None:
        return Strip.of_mv(_noisy(strip.mv, noise, rng), strip.rate_hz)
    if kind in MOVED and noise is not None:
        return Strip.of_mv(_moved(strip.mv, strip.rate_hz, reference, noise, rng), strip.rate_hz)
    return strip


def _noisy(mv: Floats, noise: Noise, rng: np.random.Generator) -> Floats:
    """With a recording in each lead from begin to end, at whatever rate."""
    columns = np.hstack(list(noise.mv.values()))
    for lead in range(LEADS):
        if np.isnan(mv[:, lead]).all():
            continue
        column = columns[:, rng.integers(columns.shape[1])]
        start = rng.integers(len(column))
        added = np.resize(np.roll(column, -start), len(mv)).astype(np.float64)
        added -= added.mean()
        ratio = 10 ** (-rng.uniform(*NOISE_DB) / 20)
        mv[:, lead] += added * ratio * np.nanstd(np.diff(mv[:, lead])) / np.std(np.diff(added))
    return mv


def _moved(mv: Floats, rate_hz: float, reference: Annotations, noise: Noise, rng: np.random.Generator) -> Floats:
    """With noise in stretches, measured against its normal beats, or all where none is; as it is if it has no beat."""
    kind = "em" if rng.random() < ELECTRODES and "em" in noise.mv else "ma"
    if kind not in noise.mv:
        return mv
    added = np.roll(noise.mv[kind], -int(rng.integers(len(noise.mv[kind]))), axis=0).astype(np.float64)
    if rng.random() < 0.5:
        added = added[:, ::-1]
    on = np.zeros(len(mv), bool)
    first, noisy = 0, bool(rng.random() < 0.5)
    while first < len(mv):
        end = first + max(int(rng.uniform(*MOVED_S) * rate_hz), 1)
        on[first:end] = noisy
        first, noisy = end, not noisy
    beats = reference.samples[[symbol in NORMAL for symbol in reference.symbols]]
    if not len(beats):
        beats = reference.samples[[symbol in CLASS_OF for symbol in reference.symbols]]
    try:
        return mix(mv, beats, rate_hz, added, noise.rate_hz, float(rng.uniform(*MOVED_DB)), on)
    except ValueError:
        return mv


def composed(strip: Strip, reference: Annotations, rng: np.random.Generator) -> tuple[Strip, Annotations]:
    """A strip with other beats, composed of its own (`model.compose`), and their annotation; as it is if that fails."""
    if rng.random() < COMPOSED_SWAP:
        strip = changed(strip, "swap", reference, None, rng)
    if rng.random() < COMPOSED_PACE:
        strip = changed(strip, "pace", reference, None, rng)
    played = compose(strip.mv, strip.rate_hz, reference, rng)
    return (Strip.of_mv(played[0], strip.rate_hz), played[1]) if played is not None else (strip, reference)
