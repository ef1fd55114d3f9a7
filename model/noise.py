"""The noise stress test: recorded noise added to clean ECG at a calibrated signal-to-noise ratio.

Signal power is that of a sine as high as the QRS complexes, noise power that of one-second windows; both are trimmed
means of the first measurements, each lead for itself. The first five minutes stay clean, then two minutes with noise
and two without take turns. Nothing is random: the same records give the same mix.

References
----------
Moody GB, Muldrow WE, Mark RG. A noise stress test for arrhythmia detectors. Computers in Cardiology 11:381-384, 1984.
nst(1) and sigamp(1), WFDB Applications Guide.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Final

import numpy as np
import numpy.typing as npt
from scipy.signal import resample_poly

Floats = npt.NDArray[np.float64]

KINDS: Final = ("bw", "em", "ma")  # recordings of nstdb: baseline wander, electrode motion, muscle noise
LEVELS_DB: Final = (24, 18, 12, 6, 0, -6)  # the levels nstdb's own mixes have
CLEAN_S: Final = 300.0  # an analyser may learn so long, and EC57 does not score it
TURN_S: Final = 120.0  # length of each noisy and each clean stretch after that
QRS_S: Final = 0.05  # a QRS complex is measured so far before and after its annotation
WINDOW_S: Final = 1.0  # a window of noise: short enough that slow drift is no power
MEASURED: Final = 300  # QRS complexes, and windows of noise, at most
TRIMMED: Final = 0.05  # share of the measurements left out at either end
SAME_RATE: Final = 0.1  # rates that differ by less are taken as equal, as nst does
FINEST: Final = 1000  # denominator of the ratio of two rates at most: 1 mHz in 1 Hz


def signal_power(mv: Floats, beats: npt.ArrayLike, rate_hz: float) -> float:
    """Power of one lead's QRS complexes, mV²: their peak-to-peak amplitude squared, over 8, as of a sine.

    Parameters
    ----------
    mv : float64, shape (n,)
        Signal; NaN where there is no reading.
    beats : array_like of int
        Samples of the normal beats, in order.
    rate_hz : float

    Raises
    ------
    ValueError
        No QRS complex can be measured.
    """
    half = int(QRS_S * rate_hz + 0.5)
    heights = []
    for beat in np.asarray(beats, np.int64):
        around = mv[max(beat - half, 0) : beat + half + 1]
        if len(around) and np.isfinite(around).all():
            heights.append(np.ptp(around))
            if len(heights) == MEASURED:
                break
    if not heights:
        raise ValueError("no QRS complex to measure: noise cannot be calibrated")
    return _trimmed_mean(np.array(heights)) ** 2 / 8.0


def noise_power(mv: Floats, rate_hz: float) -> float:
    """Power of one noise lead, mV²: the square of the mean RMS deviation of one-second windows from their mean.

    Raises
    ------
    ValueError
        There is less than a second of noise.
    """
    size = int(WINDOW_S * rate_hz + 0.5)
    count = min(len(mv) // size, MEASURED)
    if not count:
        raise ValueError("less than one second of noise: it cannot be calibrated")
    return _trimmed_mean(mv[: count * size].reshape(count, size).std(axis=1)) ** 2


def noisy(count: int, rate_hz: float) -> npt.NDArray[np.bool_]:
    """Which of so many samples the standard protocol makes noisy."""
    turn = np.floor((np.arange(count) / rate_hz - CLEAN_S) / TURN_S)
    on: npt.NDArray[np.bool_] = (turn >= 0) & (turn % 2 == 0)
    return on


def mix(
    clean_mv: Floats,
    beats: npt.ArrayLike,
    rate_hz: float,
    noise_mv: Floats,
    noise_rate_hz: float,
    snr_db: float,
    on: npt.NDArray[np.bool_] | None = None,
) -> Floats:
    """Add noise to every lead of a clean record at a signal-to-noise ratio.

    Where noise begins or ends an offset keeps the signal from jumping, as in nst; what offset the last noisy stretch
    left stays. Noise that is too short starts over; fewer noise leads than leads are used in turn.

    Parameters
    ----------
    clean_mv : float64, shape (n, leads)
        NaN where there is no reading; it stays so.
    beats : array_like of int
        Samples of the normal beats.
    rate_hz : float
        Of the clean record.
    noise_mv : float64, shape (m, noise leads)
    noise_rate_hz : float
        Its rate; where it differs by a tenth or more the noise is resampled.
    snr_db : float
        Signal power over noise power during the noisy stretches, dB.
    on : bool, shape (n,), optional
        Which samples are noisy; those of the standard protocol otherwise.

    Returns
    -------
    float64, shape (n, leads)
    """
    if abs(noise_rate_hz - rate_hz) >= SAME_RATE * rate_hz:
        ratio = Fraction(rate_hz / noise_rate_hz).limit_denominator(FINEST)
        noise_mv = resample_poly(noise_mv, ratio.numerator, ratio.denominator, axis=0, padtype="line")
    mixed = clean_mv.copy()
    on = noisy(len(clean_mv), rate_hz) if on is None else on
    for lead in range(clean_mv.shape[1]):
        if not np.isfinite(clean_mv[:, lead]).any():
            continue
        noise = noise_mv[:, lead % noise_mv.shape[1]]
        power = signal_power(clean_mv[:, lead], beats, rate_hz) / noise_power(noise, rate_hz)
        gain = np.sqrt(power * 10.0 ** (-snr_db / 10.0))
        # Only steps within a noisy stretch move the sum, so that it goes on where it was.
        steps = np.diff(np.resize(noise, len(mixed)), prepend=noise[0])
        within = on & np.roll(on, 1)
        mixed[:, lead] += gain * np.cumsum(np.where(within, steps, 0.0))
    return mixed


def _trimmed_mean(values: Floats) -> float:
    """Mean without the largest and the smallest."""
    ordered = np.sort(values)
    cut = int(TRIMMED * len(ordered))
    return float(ordered[cut : len(ordered) - cut].mean())
