"""Places to write to are tried before the work."""

from __future__ import annotations

from pathlib import Path

import pytest

from stream import outputs
from stream.errors import RecordError


@pytest.mark.parametrize("name", ["a.png", "a.SVG", "new/folder/a.pdf"])
def test_a_picture_of_a_kind_that_can_be_drawn(name: str, tmp_path: Path) -> None:
    assert outputs.picture(tmp_path / name) == tmp_path / name


@pytest.mark.parametrize("name", ["a", "a.bmp", "a.txt", ".png"])
def test_a_picture_that_cannot_be_drawn_is_refused_first(name: str, tmp_path: Path) -> None:
    with pytest.raises(RecordError, match=r"ends in \.png, \.svg, \.pdf"):
        outputs.picture(tmp_path / name)


def test_every_kind_named_can_be_drawn() -> None:
    from matplotlib.backend_bases import FigureCanvasBase

    assert {kind.lstrip(".") for kind in outputs.PICTURES} <= FigureCanvasBase.get_supported_filetypes().keys()
