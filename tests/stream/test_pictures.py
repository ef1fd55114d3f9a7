"""Pictures: a frame of the demo that needs nothing else, and a strip of ECG paper drawn to scale."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np
import pytest
import wfdb
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.text import Text

from model.reader import Reader
from replay import script, script_files
from stream import board, plot
from stream.errors import RecordError, SettingsError
from stream.ward import Ward

SCRIPT = """\
patient "drawn" rate 250 Hz leads II V1
sinus 75 for 20 s
vt 180 for 8 s
sinus 75 for 12 s
"""
SVG = "{http://www.w3.org/2000/svg}"


@given(st.text(alphabet="ab <>&\"'\u00e9", max_size=40))
def test_a_picture_shows_the_text_and_fetches_nothing(text: str) -> None:
    picture = board.picture(Text(text))
    assert "http" not in picture.replace("http://www.w3.org/2000/svg", "")
    shown = [t.text or "" for t in ET.fromstring(picture).iter(f"{SVG}text") if "title" not in t.get("class", "")]
    assert "".join(shown).replace(board.BLANK, "").split() == text.replace(" ", "").split()
    assert all(t == t.strip(board.BLANK) for t in shown)


@pytest.fixture(scope="module")
def record(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    script_files.write(script.load(SCRIPT), folder)
    return folder / "drawn"


@pytest.fixture(scope="module")
def ward() -> Ward:
    return Ward(Reader.load())


@settings(max_examples=10, deadline=None)
@given(begin=st.floats(0, 30), seconds=st.floats(1, 20))
def test_a_strip_is_drawn_to_scale(record: Path, ward: Ward, begin: float, seconds: float) -> None:
    figure = plot.draw(plot.prepare(record, ward, begin, seconds, "atr"))
    figure.canvas.draw()
    for axes in figure.axes:
        box = axes.get_window_extent()
        (x0, x1), (y0, y1) = axes.get_xlim(), axes.get_ylim()
        assert box.width / figure.dpi * plot.MM_IN == pytest.approx((x1 - x0) * plot.MM_S)
        assert box.height / figure.dpi * plot.MM_IN == pytest.approx((y1 - y0) * plot.MM_MV)


def test_a_strip_names_the_alert_and_every_beat(record: Path, ward: Ward, tmp_path: Path) -> None:
    strip = plot.prepare(record, ward, 18.0, 10.0)
    (axes,) = plot.draw(strip).axes
    texts = [text.get_text() for text in axes.texts]
    assert "ventricular tachycardia, high" in texts
    beats = [b for b in strip.said.beats if 18 * 250 <= b.sample < 28 * 250]
    assert sum(text in plot.LABEL_NAMES for text in texts) == len(beats) > 10
    plot.save(strip, tmp_path / "strip.png")
    assert (tmp_path / "strip.png").stat().st_size > 10_000


def test_a_stretch_of_which_no_rhythm_is_told_is_drawn(ward: Ward, tmp_path: Path) -> None:
    script_files.write(
        script.load('patient "off" rate 250 Hz leads II V1\nsinus 75 for 20 s with leadoff all'), tmp_path
    )
    strip = plot.prepare(tmp_path / "off", ward, 0.0, 10.0)
    assert not [mark for mark in strip.said.marks if mark.symbol == "+"]
    plot.save(strip, tmp_path / "strip.png")


def test_annotations_of_another_rate_are_not_drawn_elsewhere(record: Path, ward: Ward) -> None:
    wfdb.wrann("drawn", "fast", np.array([250, 500]), symbol=["N", "N"], fs=500, write_dir=str(record.parent))
    with pytest.raises(RecordError, match="at 500 Hz, the record has 250 Hz"):
        plot.prepare(record, ward, 0.0, 10.0, "fast")


@pytest.mark.parametrize(("begin", "seconds"), [(0.0, 0.5), (0.0, 121.0), (40.0, 10.0)])
def test_a_stretch_that_cannot_be_drawn_is_told(record: Path, ward: Ward, begin: float, seconds: float) -> None:
    with pytest.raises(SettingsError, match="--"):
        plot.prepare(record, ward, begin, seconds)
