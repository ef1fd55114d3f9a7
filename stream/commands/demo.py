"""`telebeat demo`: everything at once on this machine, to look at or to measure."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from stream.commands.shared import DataDir, JsonFile

if TYPE_CHECKING:
    from stream.demo import View

LINE_S: Final = 5.0  # between two lines where there is no terminal for a live table


def demo(
    *,
    seconds: Annotated[float | None, typer.Option(min=1, help="how long; default: until Ctrl-C")] = None,
    beds: Annotated[int, typer.Option(min=1, max=1000, help="how many patients")] = 8,
    data_dir: DataDir = None,
    speed: Annotated[str, typer.Option(help="1, 60, ... times real time")] = "1",
    json_file: JsonFile = None,
    http_port: Annotated[
        int, typer.Option(min=0, max=65535, help="of the monitor's /metrics, for a Prometheus of yours; 0: any free")
    ] = 0,
    picture: Annotated[Path | None, typer.Option(help="save the table at its fullest here, as an SVG picture")] = None,
) -> None:
    """Play records on beds through a real Kafka into the monitor, and show what it says and how quickly.

    Real records are played where a data folder has them, else scripted patients. Broker, replay and monitor are
    separate processes; Ctrl-C ends all of them. With TELEBEAT_KAFKA_BOOTSTRAP set, that cluster is used.
    """
    import asyncio
    import contextlib
    import time

    from rich.console import Console
    from rich.live import Live

    from replay.pacing import parse_speed
    from stream import board, outputs
    from stream import demo as demonstration

    parse_speed(speed)  # a mistake is told before anything starts
    console = Console(stderr=outputs.numbers(json_file), highlight=False)
    with contextlib.ExitStack() as stack:
        status = stack.enter_context(console.status("telebeat demo")) if console.is_terminal else None
        live: Live | None = None
        fullest, drawn = 0, ""
        last_line = time.monotonic()

        def notify(step: str) -> None:
            if status is not None:
                status.update(step)
            else:
                console.print(step)

        def show(view: View) -> None:
            nonlocal live, last_line, fullest, drawn
            if picture is not None and (standing := view.board.standing) >= fullest:
                fullest, drawn = standing, board.picture(view.board.render(view.headline, view.latency))
            if status is not None:
                if live is None:
                    status.stop()
                    live = stack.enter_context(Live(console=console, auto_refresh=False))
                live.update(view.board.render(view.headline + "; Ctrl-C ends", view.latency), refresh=True)
            elif time.monotonic() - last_line >= LINE_S:
                last_line = time.monotonic()
                console.print(view.headline)

        totals = asyncio.run(_until_stopped(demonstration.run(seconds, beds, speed, data_dir, notify, show, http_port)))
    if totals is None:
        console.print("stopped before the replay began")
        raise typer.Exit(130)
    console.print(*board.summary(totals), sep="\n")
    if picture is not None and drawn:
        picture.write_text(drawn, encoding="utf-8")
    if json_file is not None:
        outputs.write_numbers(json_file, totals, indent=None)


async def _until_stopped(running: Any) -> dict[str, Any] | None:
    """Run until the end or the first SIGINT, SIGTERM or SIGHUP; None if that came before there was anything to add up.

    The clean-up that follows is not interrupted by a second one: it ends within seconds by itself.
    """
    import asyncio
    import signal

    task: asyncio.Task[dict[str, Any]] = asyncio.ensure_future(running)
    stopped = False

    def stop() -> None:
        nonlocal stopped
        if not stopped:
            stopped = True
            task.cancel()

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(number, stop)
    await asyncio.wait([task])
    return None if task.cancelled() else task.result()
