"""The monitor's own pages: `/metrics`, `/healthz`, `/readyz` and `/latency`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol, Self

import msgspec
from aiohttp import web

from stream.errors import SettingsError
from stream.metrics import CONTENT_TYPE, Metrics


class Condition(Protocol):
    """What the pages ask of the service."""

    def unhealthy(self) -> str | None:
        """Why the process should be restarted, or None."""

    def unready(self) -> str | None:
        """Why the worker does not analyse yet, or None."""


class Pages:
    """An HTTP server over a running service; an asynchronous context manager.

    Parameters
    ----------
    host, port : str, int
        Where to listen; port 0 takes any that is free.
    metrics : Metrics
        Behind `/metrics`.
    condition : Condition
        Behind `/healthz` and `/readyz`.
    latency : callable
        Makes the object behind `/latency`.
    """

    def __init__(
        self, host: str, port: int, metrics: Metrics, condition: Condition, latency: Callable[[], Mapping[str, Any]]
    ) -> None:
        self._host = host
        self.port = port
        self._metrics = metrics
        self._condition = condition
        self._latency = latency
        app = web.Application()
        app.add_routes(
            [
                web.get("/metrics", self._show_metrics),
                web.get("/healthz", self._show_health),
                web.get("/readyz", self._show_readiness),
                web.get("/latency", self._show_latency),
            ]
        )
        self._runner = web.AppRunner(app, access_log=None, handle_signals=False, shutdown_timeout=1.0)

    async def __aenter__(self) -> Self:
        """Listen; raises `SettingsError` if the port is taken."""
        await self._runner.setup()
        try:
            await web.TCPSite(self._runner, self._host, self.port).start()
        except OSError as error:
            await self._runner.cleanup()
            raise SettingsError(
                f"cannot listen on {self._host}:{self.port} ({error.strerror or error}); "
                "choose another with --http-port, 0 for any that is free"
            ) from error
        self.port = self._runner.addresses[0][1]
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._runner.cleanup()

    async def _show_metrics(self, _: web.Request) -> web.Response:
        return web.Response(body=self._metrics.render(), headers={"Content-Type": CONTENT_TYPE})

    async def _show_health(self, _: web.Request) -> web.Response:
        return _verdict(self._condition.unhealthy())

    async def _show_readiness(self, _: web.Request) -> web.Response:
        return _verdict(self._condition.unready())

    async def _show_latency(self, _: web.Request) -> web.Response:
        return web.Response(body=msgspec.json.encode(self._latency()), content_type="application/json")


def _verdict(problem: str | None) -> web.Response:
    return web.Response(text=f"{problem or 'ok'}\n", status=200 if problem is None else 503)
