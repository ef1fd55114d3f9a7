"""`telebeat topics`: make and look at the topics on the cluster."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from stream.topics import Topic

HELP = "Make and look at telebeat's topics on the Kafka cluster."


def create(
    partitions: Annotated[
        int | None, typer.Option(min=1, max=1000, help="Of each topic; default: TELEBEAT_KAFKA_PARTITIONS, else 16.")
    ] = None,
) -> None:
    """Make the topics that are missing; say how those that exist differ from the design. Safe to repeat."""
    import asyncio

    from stream import settings, topics

    show(asyncio.run(topics.create(settings.load_kafka(), partitions)))


def describe() -> None:
    """Show telebeat's topics as they stand on the cluster."""
    import asyncio

    from stream import settings, topics
    from stream.errors import KafkaError

    found = asyncio.run(topics.describe(settings.load_kafka()))
    if not found:
        raise KafkaError("the cluster has none of telebeat's topics: make them with `telebeat topics create`")
    show(found)


def show(found: list[Topic]) -> None:
    """Print one row a topic."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("topic", "partitions", "copies", "cleanup", "kept", ""):
        table.add_column(column, justify="right" if column in ("partitions", "copies") else "left")
    for topic in found:
        notes = [f"[yellow]{escape(text)}[/]" for text in topic.differences]
        table.add_row(
            topic.name,
            str(topic.partitions),
            str(topic.replication),
            topic.config["cleanup.policy"],
            kept(topic.config),
            "\n".join((["[green]made[/]"] if topic.made else ["exists"]) + notes),
        )
    Console().print(table)


def kept(config: dict[str, str]) -> str:
    """How long records stay, for people: ``24 h``, ``30 days``, ``last per key``."""
    if "retention.ms" not in config:
        return "last per key"
    milliseconds = int(config["retention.ms"])
    if milliseconds < 0:
        return "for ever"
    hours = milliseconds / 3_600_000
    return f"{hours / 24:g} days" if hours > 24 else f"{hours:g} h"
