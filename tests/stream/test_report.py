"""Reports: one file that holds everything and fetches nothing."""

from __future__ import annotations

import base64
import xml.etree.ElementTree as ET
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("jinja2")
pytest.importorskip("sklearn")

from model.evaluation.classes import ClassFigures
from stream import report
from stream import report_plots as plots

pytestmark = pytest.mark.train

SVG_START = "data:image/svg+xml;base64,"


class Page(HTMLParser):
    """What is in a page: its text, links and pictures; every element that was opened is closed."""

    VOID = frozenset({"meta", "img", "br", "link", "hr"})

    def __init__(self, text: str) -> None:
        super().__init__()
        self.words: list[str] = []
        self.sources: list[str] = []
        self.names: list[str] = []
        self.ids: set[str] = set()
        self.links: list[str] = []
        self.tables = 0
        self.open: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        given = dict(attrs)
        self.tables += tag == "table"
        if tag not in self.VOID:
            self.open.append(tag)
        if "id" in given:
            self.ids.add(given["id"])
        if tag == "a":
            self.links.append(given["href"])
        if "src" in given:
            self.sources.append(given["src"])
            self.names.append(given["alt"])

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())


def figures(cases: int = 300) -> ClassFigures:
    rng = np.random.default_rng(3)
    truth = rng.integers(0, 4, cases)  # nobody has class Q
    claims = rng.dirichlet(np.ones(5), cases)
    return ClassFigures.of(truth, claims, ("N", "S", "V", "F", "Q"))


def test_a_report_holds_its_tables_and_pictures(tmp_path: Path) -> None:
    found = figures()
    sections = report.class_sections(found)
    file = tmp_path / "new" / "report.html"
    report.write(file, "Beats <told> & judged", ["lead & more"], sections)
    text = file.read_text("utf-8")
    page = Page(text)
    assert "Beats <told> & judged" in page.text
    assert page.tables == sum(len(s.tables) for s in sections)
    assert len(page.sources) == sum(len(s.pictures) for s in sections) == 4
    for source in page.sources:
        drawing = ET.fromstring(base64.b64decode(source.removeprefix(SVG_START)))
        assert drawing.tag == "{http://www.w3.org/2000/svg}svg"
    assert {link.removeprefix("#") for link in page.links} == page.ids
    assert f"{found.accuracy:.2f} %" in page.text
    for count in found.counts.ravel().tolist():
        assert f"{count:,}" in page.text
    assert "http" not in text.replace("http://www.w3.org", "")


def test_a_report_of_nothing_opens(tmp_path: Path) -> None:
    file = tmp_path / "report.html"
    empty = ClassFigures.of([], np.zeros((0, 2)), ("normal", "infarction"))
    report.write(file, "nothing", [], report.class_sections(empty))
    assert "infarction" in Page(file.read_text("utf-8")).text


def test_the_same_figures_draw_the_same_picture() -> None:
    assert plots.svg(plots.roc(figures())) == plots.svg(plots.roc(figures()))


def test_an_overview_has_a_panel_for_each_picture(tmp_path: Path) -> None:
    found = figures()
    rows = [plots.Bar("ours", (90.0, 80.0), (1.0, 2.0), strong=True), plots.Bar("none", (None, 10.0))]
    draws = [
        plots.confusion(found),
        plots.roc(found),
        plots.bars(rows, "arms", ("VEB", "SVEB")),
        plots.points(rows, "by record", ("VEB", "SVEB"), named=False),
    ]
    figure = plots.overview(draws, "all")
    assert [axes.get_title() for axes in figure.axes] == [
        "Confusion",
        "ROC, class against the rest",
        "arms",
        "by record",
    ]
    figure.savefig(tmp_path / "overview.png", dpi=60)
    assert (tmp_path / "overview.png").read_bytes().startswith(b"\x89PNG")
