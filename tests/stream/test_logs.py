from __future__ import annotations

import json
import subprocess
import sys

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from stream.logs import BURST, MOST_KINDS, WINDOW_S, RateLimit

CODE = """
import logging, structlog
from stream import logs
logs.configure("json", "info")
log = structlog.get_logger()
log.debug("hidden")
log.info("monitor started", http="127.0.0.1:1")
for i in range(100):
    log.warning("frame rejected", reason="magic", bed="a")
    logging.getLogger("library").warning("again")
log.error("still told")
"""


def test_lines_are_json_and_never_a_flood() -> None:
    done = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, check=True)
    lines = [json.loads(line) for line in done.stderr.splitlines()]
    events = [line["event"] for line in lines]
    assert events.count("monitor started") == 1
    assert events.count("frame rejected") == BURST
    assert events.count("again") == BURST
    assert events[-1] == "still told"
    assert "hidden" not in events
    assert all({"level", "timestamp"} <= line.keys() for line in lines)


@given(st.lists(st.floats(0, WINDOW_S / 3), min_size=1, max_size=120))
def test_what_is_held_back_is_counted(pauses: list[float]) -> None:
    now = 0.0
    limit = RateLimit(clock=lambda: now)
    passed = held_back = told = 0
    for pause in pauses:
        now += pause
        try:
            line = limit(None, "warning", {"event": "x"})
        except structlog.DropEvent:
            held_back += 1
        else:
            passed += 1
            told += line.get("suppressed", 0)
    assert passed + held_back == len(pauses)
    assert told <= held_back <= told + max(0, len(pauses) - BURST)
    assert passed <= BURST * (1 + now / WINDOW_S)


def test_errors_and_other_kinds_pass() -> None:
    limit = RateLimit(burst=1, clock=lambda: 0.0)
    for _ in range(10):
        assert limit(None, "error", {"event": "x"}) == {"event": "x"}
    limit(None, "warning", {"event": "x", "reason": "magic"})
    limit(None, "warning", {"event": "x", "reason": "rate"})
    with pytest.raises(structlog.DropEvent):
        limit(None, "warning", {"event": "x", "reason": "rate"})


def test_a_librarys_messages_may_be_anything_and_those_held_back_are_counted() -> None:
    code = """
import logging
from stream import logs
now = 0.0
logs._limit = logs.RateLimit(clock=lambda: now)
logs.configure("json", "info")
library = logging.getLogger("library")
for now in [0.0] * 8 + [20.0]:
    library.error({"number": 1})
    library.error(["a list"])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    lines = [json.loads(line) for line in done.stderr.splitlines()]
    assert len(lines) == 2 * (BURST + 1)
    assert [line["suppressed"] for line in lines if "suppressed" in line] == [8 - BURST] * 2


def test_texts_that_never_come_again_are_forgotten() -> None:
    now = 0.0
    limit = RateLimit(burst=1, clock=lambda: now)
    limit(None, "warning", {"event": "again"})
    with pytest.raises(structlog.DropEvent):
        limit(None, "warning", {"event": "again"})
    for number in range(3 * MOST_KINDS):
        now += 0.1
        limit(None, "warning", {"event": f"number {number}"})
    assert len(limit._kinds) <= MOST_KINDS
    assert limit(None, "warning", {"event": "again"})["suppressed"] == 1
