"""`telebeat tail`: follow alerts and beats on a terminal, as JSON lines, or into files."""

from __future__ import annotations

import enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

if TYPE_CHECKING:
    from stream import tail as tails

COLOURS: Final = {"high": "bold red", "medium": "yellow", "low": "cyan"}  # as IEC 60601-1-8 has it

CANNOT_BE_A_FILE: Final = "cannot be the name of a WFDB file: only letters, digits, _ and - can"


class Kind(enum.StrEnum):
    """What can be followed."""

    ALERTS = "alerts"
    BEATS = "beats"


def tail(
    kinds: Annotated[list[Kind], typer.Argument(help="alerts, beats or both", show_default=False)],
    bed: Annotated[list[str] | None, typer.Option(help="Only this bed; may be repeated.")] = None,
    since: Annotated[str, typer.Option(help="begin, end, or a time back: 90s, 10m, 2h, 1d")] = "end",
    seconds: Annotated[float | None, typer.Option(min=0, help="End after so many seconds.")] = None,
    count: Annotated[int | None, typer.Option(min=1, help="End after so many lines.")] = None,
    until_end: Annotated[bool, typer.Option("--until-end", help="End when all that is there now is read.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False,
    out: Annotated[
        Path | None,
        typer.Option(
            help="Folder for BED.tb and BED.alerts.jsonl, as `telebeat annotate` writes them; BED.2.tb and so on hold "
            "what came after its device began to count anew or changed its rate."
        ),
    ] = None,
) -> None:
    """Follow what the monitor says, live or from any time back."""
    import asyncio
    import contextlib
    import sys

    from rich.console import Console
    from rich.markup import escape

    from stream import outputs, plain, settings, tail
    from stream.ending import Terminated, put_off
    from stream.errors import RecordError

    since_s = tail.parse_since(since)
    names = list(dict.fromkeys(str(kind) for kind in kinds))
    console, complaints = (
        Console(highlight=False, soft_wrap=True),
        Console(stderr=True, highlight=False, soft_wrap=True),
    )
    collection = None if out is None else tail.Collection()
    if out is not None:
        outputs.folder(out)

    async def run() -> None:
        events = tail.follow(settings.load_kafka(), names, since_s, until_end, seconds)
        left = count
        async with contextlib.aclosing(events):
            async for event in events:
                if isinstance(event, tail.Unreadable):
                    place = f"{event.topic}, partition {event.partition}, offset {event.offset}"
                    complaints.print(f"[yellow]unreadable message[/] at {place}: {escape(event.reason)}")
                    continue
                if bed and event.bed not in bed:
                    continue
                if collection is not None:
                    if not collection.add(event):
                        complaints.print(f"[yellow]not kept[/]: bed {escape(repr(event.bed))} {CANNOT_BE_A_FILE}")
                elif as_json:
                    sys.stdout.write(plain.json(json_line(event)) + "\n")
                    sys.stdout.flush()
                else:
                    console.print(line(event))
                if left is not None and (left := left - 1) == 0:
                    return

    try:
        with contextlib.suppress(BrokenPipeError):  # `| head` is a usual way to end this
            asyncio.run(run())
    except Terminated:
        raise
    except KeyboardInterrupt:
        pass  # and so is Ctrl-C
    finally:
        if collection is not None and out is not None:
            with put_off():
                paths = collection.write(out, names)
            for path in paths:
                console.print(str(path), markup=False)
    if collection is not None and collection.refused:
        raise RecordError(
            f"bed {', '.join(map(repr, sorted(collection.refused)))} {CANNOT_BE_A_FILE}; see it with --json"
        )


def json_line(event: tails.Event) -> str:
    """An alert as it is on the topic; a beat, last word or mark as an object with its bed and sampling rate."""
    import msgspec

    from stream import wire

    if isinstance(event.what, wire.Alert):
        return wire.encode_alert(event.what).decode()
    fields = {field: getattr(event.what, field) for field in event.what.__struct_fields__}
    return msgspec.json.encode({"bed": event.bed, "rate_hz": event.rate_hz, **fields}).decode()


def line(event: tails.Event) -> str:
    """One line for people, with rich's markup."""
    from rich.markup import escape

    from stream import wire

    what, bed = event.what, f"{escape(event.bed):<12}"
    if isinstance(what, wire.Alert):
        raised = what.state == "raised"
        when = what.decided_time if raised or what.cleared_time is None else what.cleared_time
        colour = COLOURS[what.priority] if raised else "green"
        evidence = "  ".join(f"{escape(name)} {value:g}" for name, value in what.evidence.items()) if raised else ""
        name = what.rule.replace("_", " ")
        return f"[dim]{when}[/] {bed} [{colour}]{what.state:<7} {name:<26}[/] {what.priority:<6} [dim]{evidence}[/]"
    clock = elapsed(what.sample / event.rate_hz)
    if isinstance(what, wire.Mark):
        return f"[dim]{clock}[/] {bed} [magenta]{escape(what.symbol)} {escape(what.aux)}[/]"
    if isinstance(what, wire.Revision):
        return f"[dim]{clock} {bed} last word {what.label} {what.probability:4.0%}[/]"
    colour = {"V": "bold red", "S": "yellow", "F": "magenta", "Q": "dim"}.get(what.label, "default")
    return (
        f"[dim]{clock}[/] {bed} [{colour}]{what.label}[/] {what.probability:4.0%}  "
        f"RR {what.rr_ms:5.0f} ms  [dim]word {what.token}[/]"
    )


def elapsed(seconds: float) -> str:
    """Time since the device's first sample: ``0:05:12.347``."""
    minutes, milliseconds = divmod(round(seconds * 1000), 60_000)  # rounded first: 59.9996 s are a minute
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{milliseconds / 1000:06.3f}"
