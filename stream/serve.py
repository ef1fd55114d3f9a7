"""A worker as a process: event loop, signals, and an end in good order."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Callable

from stream.protocols import Analysis
from stream.service import Service
from stream.settings import KafkaSettings, Settings


async def serve(settings: Settings, cluster: KafkaSettings, ward: Analysis) -> None:
    """Run a worker until SIGTERM or SIGINT; a second signal ends the process at once.

    Raises
    ------
    TelebeatError
        If something broke that a restart may mend.
    """
    service = Service(settings, cluster, ward)
    running = asyncio.create_task(service.run())
    signals_seen: list[int] = []

    def on_signal(number: int) -> None:
        signals_seen.append(number)
        if len(signals_seen) > 1:
            os._exit(128 + number)
        service.stop()
        if not service.started:
            running.cancel()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, on_signal, number)
    try:
        await running
    except asyncio.CancelledError:
        if not signals_seen:
            raise


def main(settings: Settings, cluster: KafkaSettings, ward: Analysis) -> None:
    """`serve` on the quickest event loop there is."""
    factory: Callable[[], asyncio.AbstractEventLoop] = asyncio.new_event_loop
    with contextlib.suppress(ImportError):  # uvloop is not on every platform
        import uvloop  # noqa: PLC0415

        factory = uvloop.new_event_loop
    with asyncio.Runner(loop_factory=factory) as runner:
        runner.run(serve(settings, cluster, ward))
