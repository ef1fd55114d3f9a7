"""When a heart beats: series of RR intervals.

Every function gives intervals in seconds, enough to fill the time asked for and a few more.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np
import scipy.fft

from replay.synth import Floats

#: Heart rate variability at rest: standard deviation of the RR interval at 60 beats/min (50 ms, Nunan 2010). It goes
#: down with the RR interval.
SDNN: Final = 0.05
LOW_HZ: Final = 0.1  # Mayer waves
BAND_HZ: Final = 0.01  # standard deviation of both peaks of the spectrum
LOW_TO_HIGH: Final = 0.5  # power of Mayer waves against that of respiratory arrhythmia; these four are [1]'s

SHORTEST: Final = 0.18  # s: no ventricle follows faster
_TACHOGRAM_HZ: Final = 4.0
_SPARE: Final = 4


def sinus(rng: np.random.Generator, rate: float, seconds: float, breathing: float) -> Floats:
    """Sinus rhythm with Mayer waves and respiratory arrhythmia.

    The spectrum of the RR intervals has two Gaussian peaks, at 0.1 Hz and at the rate of breathing; phases are random
    [1]_.

    Parameters
    ----------
    rng : Generator
        Source of the phases.
    rate : float
        Mean rate, beats/min.
    seconds : float
        Time to fill.
    breathing : float
        Breaths/min.

    References
    ----------
    .. [1] McSharry PE, Clifford GD, Tarassenko L, Smith LA. IEEE Trans Biomed Eng 50(3):289-294, 2003.
    """
    mean = 60 / rate
    length = scipy.fft.next_fast_len(max(int((seconds + _SPARE * mean + 2) * _TACHOGRAM_HZ), 512), real=True)
    frequency = scipy.fft.rfftfreq(length, 1 / _TACHOGRAM_HZ)
    power = LOW_TO_HIGH * _peak(frequency, LOW_HZ) + _peak(frequency, breathing / 60)
    spectrum = np.sqrt(power) * np.exp(2j * math.pi * rng.random(len(frequency)))
    spectrum[0] = 0
    tachogram: Floats = scipy.fft.irfft(spectrum, length)
    tachogram *= SDNN * mean**1.5 / tachogram.std()
    intervals = []
    now = 0.0
    while now < seconds + _SPARE * mean:
        interval = max(SHORTEST, mean + float(tachogram[min(int(now * _TACHOGRAM_HZ), length - 1)]))
        intervals.append(interval)
        now += interval
    return np.array(intervals)


def _peak(frequency: Floats, centre: float) -> Floats:
    return np.exp(-0.5 * ((frequency - centre) / BAND_HZ) ** 2)


def fibrillation(rng: np.random.Generator, rate: float, seconds: float) -> Floats:
    """Atrial fibrillation seen through the AV node.

    Atrial impulses reach the node at random (Poisson); after each it lets through it is refractory for a time that
    concealed conduction prolongs by a random amount (uniform) [1]_. The shares of the mean interval below (0.5 fixed,
    0 to 0.6 prolonged, 0.2 waiting) give intervals whose coefficient of variation is 0.26, amid what is seen in
    patients.

    References
    ----------
    .. [1] Corino VDA, Sandberg F, Mainardi LT, Sörnmo L. An atrioventricular node model for analysis of the ventricular
       response during atrial fibrillation. IEEE Trans Biomed Eng 58(12):3386-3395, 2011.
    """
    mean = 60 / rate
    count = int(seconds / (0.5 * mean)) + _SPARE
    intervals = mean * (0.5 + rng.uniform(0, 0.6, count) + rng.exponential(0.2, count))
    return np.maximum(SHORTEST, intervals)


def steady(rng: np.random.Generator, rate: float, seconds: float, variation: float) -> Floats:
    """A rhythm that no nerve governs: intervals that differ by `variation` (relative standard deviation)."""
    mean = 60 / rate
    count = int(seconds / mean * 1.3) + 2 * _SPARE
    return np.maximum(SHORTEST, mean * (1 + variation * rng.standard_normal(count).clip(-2.5, 2.5)))
