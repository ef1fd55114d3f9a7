"""`telebeat broker`: a real Kafka on this machine until Ctrl-C."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def broker(
    port: Annotated[int, typer.Option(min=0, max=65535, help="TCP port on loopback; 0: any free one.")] = 9092,
    data_dir: Annotated[
        Path | None, typer.Option(help="Folder that keeps topics and records between runs; default: temporary.")
    ] = None,
    memory: Annotated[str, typer.Option(help="Java heap, such as 256m or 1g.")] = "256m",
) -> None:
    """Run Apache Kafka on this machine until Ctrl-C. Its first start fetches 44 MB; Java need not be installed."""
    import asyncio
    import signal

    from rich.console import Console
    from rich.markup import escape

    from stream.broker import Broker
    from stream.errors import KafkaError

    console = Console(highlight=False, soft_wrap=True)

    async def serve() -> None:
        task = asyncio.current_task()
        assert task is not None
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)  # asyncio.run sees to Ctrl-C
        try:
            with console.status("starting Kafka") as status:
                kafka = Broker(port, data_dir, memory, notify=status.update)
                await kafka.start()
            console.print(f"Kafka at [bold]{kafka.bootstrap}[/], records {escape(_kept(data_dir))}; Ctrl-C stops it")
            try:
                await kafka.wait()
                raise KafkaError(f"Kafka ended by itself; its log ends with:\n{kafka.log_tail}")
            finally:
                await kafka.stop()
        except asyncio.CancelledError:
            console.print("Kafka stopped")

    asyncio.run(serve())


def _kept(data_dir: Path | None) -> str:
    return "kept until it stops" if data_dir is None else f"kept in {data_dir}"
