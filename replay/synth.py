"""A heart as a moving dipole: the ECG of single beats in any of the twelve standard leads.

The model is the dynamical one of McSharry et al. [1]_ in its three-dimensional form by Sameni et al. [2]_, which
Clifford et al. [3]_ extended to abnormal beats. A phase θ turns once a beat, and each axis of the dipole follows

    dx/dt = −Σ (a ω / b²) Δθ exp(−Δθ² / 2b²)

whose solution is x = Σ a exp(−Δθ² / 2b²): a sum of Gaussian kernels. That solution is what is evaluated here, so no
step size enters (the tests integrate the equations and compare). Two things follow the heart rather than the
original: a kernel's distance from the R peak is a time, since a QRS complex keeps its width when the rate changes
while the T wave comes earlier with the square root of the RR interval (Bazett; the original scales all of the beat);
and atria and ventricles are kernels of their own, so that P waves may march through a heart block.

The dipole is projected to the leads with Dower's matrix [4]_.

.. [1] McSharry PE, Clifford GD, Tarassenko L, Smith LA. A dynamical model for generating synthetic electrocardiogram
   signals. IEEE Trans Biomed Eng 50(3):289-294, 2003.
.. [2] Sameni R, Clifford GD, Jutten C, Shamsollahi MB. Multichannel ECG and noise modeling: application to maternal
   and fetal ECG signals. EURASIP J Adv Signal Process 2007:43407.
.. [3] Clifford GD, Nemati S, Sameni R. An artificial vector model for generating abnormal electrocardiographic
   rhythms. Physiol Meas 31(5):595-609, 2010.
.. [4] Dower GE, Machado HB, Osborne JA. On deriving the electrocardiogram from vectorcardiographic leads. Clin
   Cardiol 3(2):87-95, 1980.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Final

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

#: Dower's matrix: what one mV of dipole along x (left), y (foot) and z (back) gives in a lead.
_DOWER: Final = {
    "V1": (-0.515, 0.157, -0.917), "V2": (0.044, 0.164, -1.387), "V3": (0.882, 0.098, -1.277),
    "V4": (1.213, 0.127, -0.601), "V5": (1.125, 0.127, -0.086), "V6": (0.831, 0.076, 0.230),
    "I": (0.632, -0.235, 0.059), "II": (0.235, 1.066, -0.132),
}  # fmt: skip
_LIMB: Final = {"III": (-1.0, 1.0), "aVR": (-0.5, -0.5), "aVL": (1.0, -0.5), "aVF": (-0.5, 1.0)}  # of I and II
LEADS: Final = ("I", "II", "III", "aVR", "aVL", "aVF", "V1", "V2", "V3", "V4", "V5", "V6")

REACH: Final = 4.0  # standard deviations of a kernel that are drawn; beyond, it is below 0.04 % of its height
RAD: Final = 1 / (2 * math.pi)  # s: one radian of phase at the 60 beats/min for which [2] gives its kernels

#: How a kernel's time from its fiducial point follows the RR interval.
FIXED, WITH_RATE = 0, 1


def projection(leads: Iterable[str]) -> Floats:
    """Dower's matrix for these leads, shape (leads, 3)."""
    rows = []
    for lead in leads:
        if lead in _DOWER:
            rows.append(np.array(_DOWER[lead]))
        else:
            first, second = _LIMB[lead]
            rows.append(first * np.array(_DOWER["I"]) + second * np.array(_DOWER["II"]))
    return np.array(rows).reshape(-1, 3)


@dataclasses.dataclass(frozen=True, eq=False)
class Wave:
    """The dipole of one atrial or ventricular activation, as kernels.

    Attributes
    ----------
    centre, width : array, shape (kernels,)
        Seconds from the fiducial point and standard deviation, s, at an RR interval of 1 s.
    dipole : array, shape (kernels, 3)
        Height along x, y and z, mV.
    stretch : array, shape (kernels,)
        `FIXED` or `WITH_RATE`.
    """

    centre: Floats
    width: Floats
    dipole: Floats
    stretch: npt.NDArray[np.int64]

    def turned(self, rotation: Floats, gain: float = 1.0) -> Wave:
        """The same wave of a heart that lies otherwise in its chest."""
        return dataclasses.replace(self, dipole=gain * self.dipole @ rotation.T)

    def scaled(self, rr: float) -> tuple[Floats, Floats]:
        """Centres and widths at an RR interval of `rr` seconds."""
        factor = np.where(self.stretch == WITH_RATE, math.sqrt(rr), 1.0)
        return self.centre * factor, self.width * factor

    def at(self, seconds: Floats, rr: float = 1.0) -> Floats:
        """The dipole at times from the fiducial point, shape (times, 3), mV."""
        centre, width = self.scaled(rr)
        return np.exp(-0.5 * ((seconds[:, None] - centre) / width) ** 2) @ self.dipole


def _wave(*parts: tuple[str, int, list[float], list[float], list[float]]) -> Wave:
    """Parts: axis, stretch, then centres, heights and widths in the units the caller has scaled."""
    centre: list[float] = []
    width: list[float] = []
    dipole: list[tuple[float, ...]] = []
    stretch: list[int] = []
    for axis, kind, centres, heights, widths in parts:
        for c, h, w in zip(centres, heights, widths, strict=True):
            centre.append(c)
            width.append(w)
            dipole.append(tuple(h if name == axis else 0.0 for name in "xyz"))
            stretch.append(kind)
    return Wave(np.array(centre), np.array(width), np.array(dipole), np.array(stretch))


def _phases(*parts: tuple[str, int, list[float], list[float], list[float]]) -> Wave:
    """As `_wave`, for kernels in radians of phase as [2] tabulates them."""
    return _wave(*((a, s, [c * RAD for c in cs], hs, [w * RAD for w in ws]) for a, s, cs, hs, ws in parts))


def _vectors(*kernels: tuple[int, float, float, tuple[float, float, float]]) -> Wave:
    """Kernels given as stretch, centre and width in ms, and dipole."""
    return Wave(
        np.array([k[1] / 1000 for k in kernels]),
        np.array([k[2] / 1000 for k in kernels]),
        np.array([k[3] for k in kernels]),
        np.array([k[0] for k in kernels]),
    )


#: Kernels of a healthy adult, [2] table 1, split in P (fiducial point: the P wave's middle) and QRS-T. The P wave is
#: set upright along x and y at the height that monitors show (0.1 to 0.15 mV in II); the table's is barely seen there.
NORMAL: Final = _phases(
    ("x", FIXED, [-0.19, -0.07, 0.0, 0.06, 0.22], [-0.13, 0.85, 1.11, 0.75, 0.06],
     [0.0453, 0.0378, 0.0332, 0.0302, 0.0378]),
    ("x", WITH_RATE, [1.2, 1.42, 1.68], [0.1, 0.17, 0.39], [0.6040, 0.3020, 0.1812]),
    ("y", FIXED, [-0.11, -0.01, 0.065], [0.32, 0.51, -0.32], [0.055, 0.037, 0.0604]),
    ("y", WITH_RATE, [0.8, 1.58], [0.04, 0.08], [0.450, 0.3]),
    ("z", FIXED, [-0.15, 0.095], [-0.40, 0.46], [0.045, 0.05]),
    ("z", WITH_RATE, [1.05, 1.25, 1.55], [-0.12, -0.2, -0.35], [0.8, 0.4, 0.2]),
)  # fmt: skip
SINUS_P: Final = _vectors((FIXED, -12, 20, (0.04, 0.07, -0.05)), (FIXED, 14, 22, (0.06, 0.06, 0.04)))
ECTOPIC_P: Final = _vectors((FIXED, -8, 16, (-0.02, -0.06, -0.04)), (FIXED, 12, 18, (0.03, -0.05, 0.02)))

#: Ventricular foci: a slow start, a slurred main vector and a late one, 130 to 160 ms in all, and a T wave against
#: them. 1: right ventricular outflow, left bundle branch block with inferior axis, the commonest; 2: left ventricle,
#: right bundle branch block with superior axis; 3: apex of the left ventricle.
FOCI: Final = (
    _vectors(
        (FIXED, -30, 15, (0.20, 0.40, 0.05)), (FIXED, 0, 21, (0.45, 1.15, 0.75)), (FIXED, 42, 18, (0.10, 0.45, 0.55)),
        (WITH_RATE, 215, 68, (-0.10, -0.26, -0.16)), (WITH_RATE, 300, 48, (-0.18, -0.42, -0.25)),
    ),
    _vectors(
        (FIXED, -30, 15, (0.05, 0.15, -0.40)), (FIXED, 0, 21, (-0.40, -0.95, -0.65)),
        (FIXED, 46, 18, (-0.45, -0.40, -0.20)),
        (WITH_RATE, 220, 66, (0.16, 0.22, 0.20)), (WITH_RATE, 305, 50, (0.26, 0.34, 0.26)),
    ),
    _vectors(
        (FIXED, -28, 14, (-0.30, 0.30, -0.20)), (FIXED, 0, 20, (-0.85, 0.75, -0.35)),
        (FIXED, 46, 20, (-0.55, -0.55, 0.35)),
        (WITH_RATE, 225, 64, (0.24, -0.05, 0.06)), (WITH_RATE, 310, 52, (0.36, -0.08, 0.10)),
    ),
)  # fmt: skip

#: Pacing of the right ventricle's apex: a spike of 2 ms, then left bundle branch block with superior axis.
PACED: Final = _vectors(
    (FIXED, -62, 1.6, (0.25, 0.70, 0.30)),
    (FIXED, -26, 15, (0.25, -0.30, 0.25)), (FIXED, 2, 21, (0.50, -0.85, 0.60)), (FIXED, 46, 18, (0.45, -0.30, 0.25)),
    (WITH_RATE, 225, 68, (-0.16, 0.22, -0.16)), (WITH_RATE, 310, 52, (-0.28, 0.36, -0.24)),
)  # fmt: skip


def _joined(first: Wave, share: float, second: Wave) -> Wave:
    """Ventricles activated from two places at once."""
    return Wave(
        np.concatenate((first.centre, second.centre)),
        np.concatenate((first.width, second.width)),
        np.concatenate((share * first.dipole, (1 - share) * second.dipole)),
        np.concatenate((first.stretch, second.stretch)),
    )


WAVES: Final[Mapping[str, Wave]] = MappingProxyType(
    {
        "sinus_p": SINUS_P,
        "ectopic_p": ECTOPIC_P,
        "normal": NORMAL,
        "focus1": FOCI[0],
        "focus2": FOCI[1],
        "focus3": FOCI[2],
        "paced": PACED,
        "fusion": _joined(NORMAL, 0.5, FOCI[0]),
    }
)


def anatomy(rng: np.random.Generator, size: float = 1.0) -> tuple[Floats, float]:
    """Rotation (3, 3) and gain of one patient's heart: axes differ by some 15°, voltages by 10 %."""
    frontal, horizontal = np.deg2rad(rng.normal((8.0, 0.0), (14.0, 10.0)))
    z_turn = np.array(
        [[math.cos(frontal), -math.sin(frontal), 0], [math.sin(frontal), math.cos(frontal), 0], [0, 0, 1]]
    )
    y_turn = np.array(
        [[math.cos(horizontal), 0, -math.sin(horizontal)], [0, 1, 0], [math.sin(horizontal), 0, math.cos(horizontal)]]
    )
    return z_turn @ y_turn, size * float(np.clip(rng.normal(1.25, 0.10), 1.0, 1.5))


@dataclasses.dataclass(frozen=True)
class Activation:
    """One atrial or ventricular activation.

    Attributes
    ----------
    time : float
        Of its fiducial point, s since the start of the record.
    wave : str
        A key of `WAVES`.
    rr : float
        The RR interval that its repolarisation has adapted to, s.
    gain : float
        Height against the patient's mean.
    """

    time: float
    wave: str
    rr: float = 1.0
    gain: float = 1.0


def draw(
    signal: Floats, rate: float, activations: Iterable[Activation], waves: Mapping[str, Wave], to_leads: Floats
) -> None:
    """Add the activations to a signal.

    Parameters
    ----------
    signal : array, shape (instants, leads)
        In mV; changed in place.
    rate : float
        Sampling rate, Hz.
    activations : iterable of Activation
        In any order; what lies beyond the signal is cut.
    waves : mapping of str to Wave
        The patient's own (see `anatomy`).
    to_leads : array, shape (leads, 3)
        See `projection`.
    """
    projected = {name: wave.dipole @ to_leads.T for name, wave in waves.items()}
    for activation in activations:
        wave = waves[activation.wave]
        centre, width = wave.scaled(activation.rr)
        first = max(0, math.ceil((activation.time + float((centre - REACH * width).min())) * rate))
        last = min(len(signal), math.floor((activation.time + float((centre + REACH * width).max())) * rate) + 1)
        if first >= last:
            continue
        seconds = np.arange(first, last) / rate - activation.time
        kernels = np.exp(-0.5 * ((seconds[:, None] - centre) / width) ** 2)
        signal[first:last] += activation.gain * (kernels @ projected[activation.wave])


def fiducial(wave: Wave, to_lead: Floats) -> float:
    """Where an annotator marks the beat: the largest QRS deflection in one lead, s from the activation's time."""
    seconds = np.arange(-0.1, 0.1, 0.0005)
    qrs = (wave.stretch == FIXED) & (wave.width > 0.003)  # without a pacing spike
    kernels = np.exp(-0.5 * ((seconds[:, None] - wave.centre[qrs]) / wave.width[qrs]) ** 2)
    return float(seconds[np.argmax(np.abs(kernels @ wave.dipole[qrs] @ to_lead))])
