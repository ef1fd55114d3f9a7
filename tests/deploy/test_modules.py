"""The house: who may import whom, and the page that says where everything is."""

from __future__ import annotations

import pytest

from tests.deploy.modules import PACKAGES, PAGE, imported, modules, page

#: What a package may import besides itself. Frames and errors are everybody's language and import nothing but types.
MAY: dict[str, tuple[str, ...]] = {
    "detector": (),
    "model": (
        "detector",
        "replay.folders",
        "replay.framing",
        "replay.headers",
        "replay.records",
        "replay.samples",
        "stream.errors",
    ),
    "replay": ("stream.errors", "stream.frames", "stream.settings", "stream.kafka"),
    "stream": ("detector", "model", "replay"),
}


def allowed(package: str, name: str) -> bool:
    return any(name == other or name.startswith(f"{other}.") for other in (package, *MAY[package]))


@pytest.mark.parametrize("package", MAY)
def test_imports_run_one_way(package: str) -> None:
    wrong = {
        name: bad for name, tree in modules(package) if (bad := {i for i in imported(tree) if not allowed(package, i)})
    }
    assert not wrong


def test_frames_and_errors_import_nothing_of_ours_but_types() -> None:
    trees = dict(modules("stream"))
    assert not imported(trees["stream.errors"])
    assert imported(trees["stream.frames"]) <= {"detector.types", "stream.errors.FrameError"}


def test_the_page_of_modules_is_of_these_modules() -> None:
    assert PAGE.read_text("utf-8") == page(), "say `python -m tests.deploy.modules`"


def test_every_module_says_what_it_is() -> None:
    for package in PACKAGES:
        for name, tree in modules(package):
            doc = tree.body[0]
            assert getattr(getattr(doc, "value", None), "value", ""), name
