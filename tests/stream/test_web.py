from __future__ import annotations

from typing import Any

import aiohttp
import pytest

from stream.errors import SettingsError
from stream.metrics import CONTENT_TYPE, Metrics
from stream.web import Pages


class Condition:
    def __init__(self) -> None:
        self.sick: str | None = None
        self.late: str | None = None

    def unhealthy(self) -> str | None:
        return self.sick

    def unready(self) -> str | None:
        return self.late


async def get(pages: Pages, page: str) -> tuple[int, str, str]:
    async with (
        aiohttp.ClientSession() as session,
        session.get(f"http://127.0.0.1:{pages.port}/{page}") as answer,
    ):
        return answer.status, answer.headers["Content-Type"], await answer.text()


def latency() -> dict[str, Any]:
    return {"detect": {"p50": 1.5, "count": 3}}


async def test_each_page() -> None:
    metrics, condition = Metrics(), Condition()
    metrics.frames.inc(7)
    async with Pages("127.0.0.1", 0, metrics, condition, latency) as pages:
        status, kind, text = await get(pages, "metrics")
        assert (status, kind) == (200, CONTENT_TYPE)
        assert "telebeat_frames_total 7.0" in text
        assert (await get(pages, "healthz"))[::2] == (200, "ok\n")
        assert (await get(pages, "readyz"))[::2] == (200, "ok\n")
        assert (await get(pages, "latency"))[2] == '{"detect":{"p50":1.5,"count":3}}'
        condition.sick, condition.late = "stuck", "not caught up"
        assert (await get(pages, "healthz"))[::2] == (503, "stuck\n")
        assert (await get(pages, "readyz"))[::2] == (503, "not caught up\n")
        assert (await get(pages, "elsewhere"))[0] == 404


async def test_a_taken_port_is_told_with_what_to_do() -> None:
    async with Pages("127.0.0.1", 0, Metrics(), Condition(), latency) as first:
        with pytest.raises(SettingsError, match="--http-port"):
            async with Pages("127.0.0.1", first.port, Metrics(), Condition(), latency):
                pass
