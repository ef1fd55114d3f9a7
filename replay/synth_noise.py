"""What a lead shows besides beats: its baseline, noise, and the waves of a fibrillating heart.

Every function takes its random generator and gives arrays of shape (instants, leads) in mV, or (instants, 3) of the
cardiac dipole for the fibrillations.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np
import scipy.fft

from replay.synth import Floats

#: The baseline's slow drift (rms), its swing with breathing, and the rest of muscles and amplifier (rms), mV. A lead
#: on a body is never still: this is what keeps an asystole from being a flat line.
DRIFT_MV: Final = 0.04
BREATH_MV: Final = 0.04
REST_MV: Final = 0.009
MAINS_HZ: Final = 50.0

VF_HZ: Final = {"coarse": 4.6, "fine": 5.8}  # mean dominant frequency; 3 to 8 Hz is what is seen in man
VF_MV: Final = {"coarse": 0.75, "fine": 0.20}  # mean height along the main axis
VF_WANDER_HZ: Final = 0.5  # standard deviation of the dominant frequency over seconds


def coloured(rng: np.random.Generator, instants: int, columns: int, rate: float, low: float, high: float) -> Floats:
    """Gaussian noise of unit variance between two frequencies (Hz), shape (instants, columns)."""
    length = scipy.fft.next_fast_len(max(instants, math.ceil(rate / max(low, 0.05)), 64), real=True)
    frequency = scipy.fft.rfftfreq(length, 1 / rate)
    chosen = (frequency >= low) & (frequency <= min(high, rate / 2)) & (frequency > 0)
    spectrum = np.zeros((len(frequency), columns), dtype=np.complex128)
    count = int(chosen.sum())
    spectrum[chosen] = rng.standard_normal((count, columns)) + 1j * rng.standard_normal((count, columns))
    noise: Floats = scipy.fft.irfft(spectrum, length, axis=0)[:instants]
    return noise * (length / (2 * math.sqrt(count)))


def background(rng: np.random.Generator, instants: int, leads: int, rate: float, breathing: float) -> Floats:
    """The quiet baseline of leads well attached: drift, breathing, and a little muscle and amplifier noise."""
    seconds = np.arange(instants) / rate
    wobble = 0.6 * coloured(rng, instants, 1, rate, 0.0, 0.1)[:, 0]
    breath = np.sin(2 * math.pi * breathing / 60 * seconds + wobble)[:, None] * rng.uniform(0.5, 1.0, leads)
    drift = coloured(rng, instants, leads, rate, 0.01, 0.25)
    rest = coloured(rng, instants, leads, rate, 5.0, 90.0)
    return BREATH_MV * breath + DRIFT_MV * drift + REST_MV * rest


def noise(rng: np.random.Generator, kind: str, instants: int, leads: int, rate: float) -> Floats:
    """Noise of one kind with unit power.

    The kinds are those of the MIT-BIH noise stress test database [1]_: ``wander`` (baseline, below 0.6 Hz), ``muscle``
    (20 to 150 Hz, in bursts), ``electrode`` (motion: sudden offsets that decay, and slow waves as broad as a QRS
    complex), and ``mains``.

    .. [1] Moody GB, Muldrow WE, Mark RG. A noise stress test for arrhythmia detectors. Comput Cardiol 11:381-384, 1984.
    """
    if kind == "wander":
        result = coloured(rng, instants, leads, rate, 0.05, 0.6)
    elif kind == "muscle":
        bursts = np.exp(0.5 * coloured(rng, instants, leads, rate, 0.0, 1.0))
        result = bursts * coloured(rng, instants, leads, rate, 20.0, 150.0)
    elif kind == "electrode":
        result = 0.8 * coloured(rng, instants, leads, rate, 0.5, 8.0) + _offsets(rng, instants, leads, rate)
    else:
        seconds = np.arange(instants)[:, None] / rate
        phase = 2 * math.pi * MAINS_HZ * seconds + 0.5 * coloured(rng, instants, 1, rate, 0.0, 0.5)
        result = (np.sin(phase) + 0.15 * np.sin(3 * phase)) * rng.uniform(0.7, 1.0, leads)
    power = np.mean(result**2, axis=0)
    return result / np.sqrt(np.where(power > 0, power, 1.0))


def _offsets(rng: np.random.Generator, instants: int, leads: int, rate: float) -> Floats:
    """An electrode that slips: about every second a jump, which the amplifier's high-pass lets decay."""
    result = np.zeros((instants, leads))
    for _ in range(rng.poisson(instants / rate)):
        first = int(rng.integers(instants))
        decay = np.exp(-np.arange(min(instants - first, int(3 * rate))) / (rate * rng.uniform(0.1, 0.6)))
        result[first : first + len(decay)] += decay[:, None] * rng.standard_t(4, leads)
    return result


def ventricular_fibrillation(rng: np.random.Generator, instants: int, rate: float, grain: str) -> Floats:
    """The dipole of a fibrillating heart, shape (instants, 3), mV.

    A few wandering re-entries: one oscillation whose frequency drifts around its mean (3 to 8 Hz, [1]_), seen along
    each axis with a height and a phase that wander by themselves, so that the waves wax, wane and turn; its second
    harmonic makes them pointed, and a weaker oscillation of its own frequency per axis breaks their regularity.

    .. [1] Clayton RH, Murray A, Campbell RW. Frequency analysis of ventricular fibrillation. IEE Proc A 142(1), 1995.
    """
    frequency = np.clip(VF_HZ[grain] + VF_WANDER_HZ * coloured(rng, instants, 1, rate, 0.0, 0.4), 3.0, 8.0)
    phase = 2 * math.pi * np.cumsum(frequency, axis=0) / rate
    turn = 1.3 * coloured(rng, instants, 3, rate, 0.0, 0.5)
    height = np.clip(0.8 + 0.45 * coloured(rng, instants, 3, rate, 0.0, 0.8), 0.1, None)
    own = coloured(rng, instants, 3, rate, 3.0, 9.0)
    waves = height * (np.sin(phase + turn) + 0.25 * np.sin(2 * phase + 2 * turn)) + 0.25 * own
    dipole: Floats = VF_MV[grain] * waves * np.array((0.6, 1.0, 0.8))
    return dipole


def atrial_fibrillation(rng: np.random.Generator, instants: int, rate: float) -> Floats:
    """Fibrillatory waves, shape (instants, 3), mV: a sawtooth of five harmonics that sway, after [1]_.

    .. [1] Stridh M, Sörnmo L. Spatiotemporal QRST cancellation techniques for analysis of atrial fibrillation. IEEE
       Trans Biomed Eng 48(1):105-111, 2001.
    """
    mean = rng.uniform(5.0, 7.5)  # Hz; 4 to 9 Hz are seen
    frequency = mean + 0.35 * coloured(rng, instants, 1, rate, 0.0, 0.3)
    phase = 2 * math.pi * np.cumsum(frequency, axis=0) / rate + 0.8 * coloured(rng, instants, 3, rate, 0.0, 1.0)
    height = np.clip(1.0 + 0.35 * coloured(rng, instants, 3, rate, 0.0, 0.6), 0.1, None)
    saw = _sawtooth(phase, 5)
    dipole: Floats = height * saw * np.array((0.02, 0.035, 0.055))
    return dipole


def atrial_flutter(rng: np.random.Generator, instants: int, rate: float, per_minute: float) -> Floats:
    """F waves of the common flutter, shape (instants, 3), mV: a regular sawtooth, down in the inferior leads."""
    phase = 2 * math.pi * per_minute / 60 * np.arange(instants)[:, None] / rate
    phase = phase + 0.05 * coloured(rng, instants, 1, rate, 0.0, 0.3)
    saw = _sawtooth(phase, 4)
    dipole: Floats = saw * np.array((0.0, -0.11, -0.06))
    return dipole


def _sawtooth(phase: Floats, harmonics: int) -> Floats:
    """Shape as `phase`, which is in radians."""
    result: Floats = np.sum([np.sin(k * phase) / k for k in range(1, harmonics + 1)], axis=0)
    return result
