"""An offset of the electrodes and single faults do not cost a lead its beats or its resolution."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from replay.records import read_record
from replay.samples import FARTHEST_MV, OFFSET_MV
from stream import frames
from tests.replay.test_records import header, millivolts, write

#: What the detector clips at (`detector`); a lead that stays there is told as saturated.
CLIPPED_MV = 32.767


def waves(instants: int = 1000) -> npt.NDArray[np.int64]:
    """Something that moves, in steps of 5 µV, 0 at its first."""
    result: npt.NDArray[np.int64] = np.rint(200 * np.sin(np.arange(instants) / 7)).astype(np.int64)
    return result


@pytest.mark.parametrize("offset_mv", [17, -20, 33, 50, 100, -150])
def test_an_offset_is_taken_off(tmp_path: Path, offset_mv: int) -> None:
    digital = np.stack([waves() + 200 * offset_mv, waves() + 300], axis=1)
    digital[:5, 0] = -32768  # no reading
    digital[700] = -32768
    record = read_record(write(tmp_path, "r", digital))
    there = np.delete(waves(), 700)[5:]
    middle = round(float(np.median(there)))
    np.testing.assert_array_equal(record.samples[5:700, 0], (waves() - middle)[5:700])
    np.testing.assert_array_equal(record.samples[701:, 1], (waves() + 300)[701:])
    assert np.all(record.samples[:5, 0] == frames.INVALID)
    assert np.all(record.samples[700] == frames.INVALID)


@pytest.mark.parametrize("offset_mv", [OFFSET_MV - 1, 1 - OFFSET_MV, 10, 0])
def test_up_to_16_mv_a_lead_is_as_recorded(tmp_path: Path, offset_mv: float) -> None:
    digital = waves()[:, None] + round(200 * offset_mv)
    digital[:200] = 30_000  # 150 mV: an electrode still to be put on
    digital[500] = -30_000
    record = read_record(write(tmp_path, "r", digital))
    np.testing.assert_array_equal(record.samples, digital)
    assert record.units_per_bit == (0.005,)


@pytest.mark.parametrize("rail", [32_767, -32_767])
@pytest.mark.parametrize("standing", [600, 1000])
def test_a_lead_at_a_rail_stays_there(tmp_path: Path, rail: int, standing: int) -> None:
    """Brought to 0 it would be a flat line, and a heart that stands still."""
    digital = waves()[:, None]
    digital[:standing] = rail
    record = read_record(write(tmp_path, "r", digital))
    np.testing.assert_array_equal(record.samples, digital)


def test_an_offset_of_segments_is_taken_off(tmp_path: Path) -> None:
    for name, gain in (("s1", 200.0), ("s2", 400.0)):
        write(tmp_path, name, (waves()[:, None] + 10_000) * int(gain) // 200, sig_name=["II"], adc_gain=[gain])
    record = read_record(header(tmp_path, "m", "m/2 1 250 2000\ns1 1000\ns2 1000\n"))
    middle = np.median(np.tile(waves(), 2)) * 0.005
    np.testing.assert_allclose(millivolts(record)[:, 0], np.tile(waves(), 2) * 0.005 - middle, atol=0.00126)
    assert record.units_per_bit == (0.0025,)


def test_an_offset_does_not_coarsen_the_step(tmp_path: Path) -> None:
    digital = waves()[:, None] + 10_000_000  # 100 mV at 0.01 µV
    record = read_record(write(tmp_path, "r", digital, fmt=["32"], adc_gain=[100_000.0]))
    np.testing.assert_array_equal(record.samples, waves()[:, None] - round(float(np.median(waves()))))


@pytest.mark.parametrize("gain", [200, 10_000, 100_000])
@pytest.mark.parametrize("glitch", [2**31 - 1, -(2**31) + 1])
def test_a_glitch_does_not_coarsen_the_step(tmp_path: Path, gain: int, glitch: int) -> None:
    digital = np.rint(np.sin(np.arange(1000) / 7) * gain)[:, None].astype(np.int64)
    digital[500] = glitch
    record = read_record(write(tmp_path, "r", digital, fmt=["32"], adc_gain=[float(gain)]))
    (step,) = record.units_per_bit
    assert step <= 0.02  # mV
    found = millivolts(record)[:, 0]
    assert abs(found[500]) == pytest.approx(FARTHEST_MV, abs=step)
    assert np.sign(found[500]) == np.sign(glitch)
    assert abs(found[500]) > CLIPPED_MV
    rest = np.arange(1000) != 500
    np.testing.assert_allclose(found[rest], digital[rest, 0] / gain, atol=step / 2 + 1e-9)


def test_what_fits_16_bits_is_not_clipped(tmp_path: Path) -> None:
    digital = waves()[:, None]
    digital[500] = 32_767  # 1.6 V at this gain
    record = read_record(write(tmp_path, "r", digital, adc_gain=[20.0]))
    np.testing.assert_array_equal(record.samples, digital)


def test_what_an_ecg_can_be_is_not_clipped(tmp_path: Path) -> None:
    digital = waves()[:, None]
    digital[500] = 299 * 2000
    record = read_record(write(tmp_path, "r", digital, fmt=["32"], adc_gain=[2000.0]))
    assert millivolts(record)[500, 0] == pytest.approx(299, abs=record.units_per_bit[0])
