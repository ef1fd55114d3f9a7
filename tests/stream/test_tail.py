from __future__ import annotations

import json
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import pytest
import wfdb
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from model.codes import CLASSES
from stream import kafka as clients
from stream import tail, topics, wire
from stream.annotations import write_annotations
from stream.cli import app
from stream.commands.tail import elapsed, json_line, line
from stream.errors import KafkaError, RecordError, SettingsError
from stream.settings import KafkaSettings
from tests.stream.frames_of import DEEP

RATE_MHZ = 360_000
LAST = wire.Revision(100, "S", 0.75, 1120.0)


def beat(sample: int, label: str = "N") -> wire.Beat:
    return wire.Beat(sample, label, 0.9876, 7, 800.0, 120.0, 320.0)


def alert(bed: str, onset: int, state: str = "raised", rule: str = "ventricular_tachycardia") -> wire.Alert:
    cleared = state == "cleared"
    return wire.Alert(
        id=wire.alert_id(bed, rule, onset),
        bed=bed,
        rule=rule,
        kind="physiological",
        priority="high",
        state="cleared" if cleared else "raised",
        rate_hz=360.0,
        onset_sample=onset,
        onset_time="2026-01-01T00:00:00.000000Z",
        decided_sample=onset + 900,
        decided_time="2026-01-01T00:00:02.500000Z",
        evidence={"rate_per_min": 182.0, "beats": 6.0},
        cleared_sample=onset + 3600 if cleared else None,
        cleared_time="2026-01-01T00:00:10.000000Z" if cleared else None,
    )


def batch(
    bed: str,
    beats: list[wire.Beat],
    marks: list[wire.Mark] | None = None,
    revisions: list[wire.Revision] | None = None,
) -> bytes:
    return wire.encode_batch(wire.Batch(bed, RATE_MHZ, tuple(beats), tuple(revisions or ()), tuple(marks or ())))


async def put(settings: KafkaSettings, name: str, values: list[bytes], partition: int = 0) -> None:
    async with clients.producer(settings) as out:
        for value in values:
            await out.send_and_wait(clients.topic(settings, name), value, key=b"key", partition=partition)


async def everything(settings: KafkaSettings, *kinds: str, **options: Any) -> list[Any]:
    return [event async for event in tail.follow(settings, kinds, **{"since_s": None, "until_end": True, **options})]


@pytest.fixture
async def cluster(kafka: KafkaSettings) -> KafkaSettings:
    await topics.create(kafka)
    return kafka


async def test_empty_topics_end_at_once(cluster: KafkaSettings) -> None:
    assert await everything(cluster, "alerts", "beats") == []


async def test_each_bed_is_told_in_order_and_repetitions_once(cluster: KafkaSettings) -> None:
    mark = wire.Mark(90, "+", "(VT")
    first = [batch("a", [beat(100), beat(400)], [mark]), batch("a", [beat(700)])]
    again = [batch("a", [beat(400), beat(700), beat(1000)], [mark])]  # a restart cuts its batches differently
    await put(cluster, topics.BEATS, [*first, *again], partition=0)
    await put(cluster, topics.BEATS, [batch("b", [beat(50)])], partition=1)
    said = [alert("a", 100), alert("a", 900), alert("a", 100, "cleared")]
    await put(cluster, topics.ALERTS, [wire.encode_alert(a) for a in (*said, *said[1:])])
    events = await everything(cluster, "beats", "alerts")
    told = [event.what for event in events if event.bed == "a"]
    assert [w for w in told if isinstance(w, wire.Beat)] == [beat(100), beat(400), beat(700), beat(1000)]
    assert [w for w in told if isinstance(w, wire.Mark)] == [mark]
    assert [w for w in told if isinstance(w, wire.Alert)] == said
    assert [event.what for event in events if event.bed == "b"] == [beat(50)]
    assert {event.rate_hz for event in events} == {360.0}


async def test_a_message_of_others_is_told_and_passed_over(cluster: KafkaSettings) -> None:
    good = batch("a", [beat(100)])
    await put(
        cluster,
        topics.BEATS,
        [b"", b"\xff junk", bytes([99]) + good[1:], bytes([good[0], good[1] + 1]) + good[2:] + DEEP, good],
    )
    events = await everything(cluster, "beats")
    assert [type(event) for event in events] == [tail.Unreadable] * 4 + [tail.Event]
    assert [event.offset for event in events[:4]] == [0, 1, 2, 3]
    assert "version 63" in events[2].reason


async def test_since_end_tells_only_what_is_new_and_seconds_ends_it(cluster: KafkaSettings) -> None:
    await put(cluster, topics.BEATS, [batch("a", [beat(100)])])
    assert await everything(cluster, "beats", since_s=0.0, until_end=False, seconds=0.5) == []
    follower = tail.follow(cluster, ["beats"], None)
    assert (await anext(follower)).what == beat(100)  # type: ignore[union-attr]
    await put(cluster, topics.BEATS, [batch("a", [beat(400)])])
    assert (await anext(follower)).what == beat(400)  # type: ignore[union-attr]
    await follower.aclose()


async def test_since_a_time_begins_there(cluster: KafkaSettings) -> None:
    async with clients.producer(cluster) as out:
        name = clients.topic(cluster, topics.BEATS)
        import time

        now = round(time.time() * 1000)
        for age_s, sample in ((5000, 1), (1000, 2), (10, 3)):
            value = batch("a", [beat(sample)])
            await out.send_and_wait(name, value, partition=0, timestamp_ms=now - age_s * 1000)
    assert [e.what.sample for e in await everything(cluster, "beats", since_s=3600.0)] == [2, 3]
    assert [e.what.sample for e in await everything(cluster, "beats")] == [1, 2, 3]


async def test_a_missing_topic_names_the_command(kafka: KafkaSettings) -> None:
    with pytest.raises(KafkaError, match="telebeat topics create"):
        await everything(kafka, "beats")


def run(settings: KafkaSettings, *arguments: str) -> Any:
    environment = {
        "TELEBEAT_KAFKA_BOOTSTRAP": settings.bootstrap,
        "TELEBEAT_KAFKA_TOPIC_PREFIX": settings.topic_prefix,
    }
    result = CliRunner().invoke(app, ["tail", *arguments], env=environment, catch_exceptions=False)
    assert result.exit_code == 0
    return result.stdout


@pytest.fixture
def recorded(kafka: KafkaSettings) -> KafkaSettings:
    """Two beds with beats, alerts, a mark and a repetition on the topics."""
    import asyncio

    async def fill() -> None:
        await topics.create(kafka)
        beats = [batch("a", [beat(100), beat(400, "V")], [wire.Mark(90, "+", "(N")], [LAST]), batch("b", [beat(60)])]
        await put(kafka, topics.BEATS, [*beats, beats[0]])
        await put(kafka, topics.ALERTS, [wire.encode_alert(alert("a", 100, "cleared"))], partition=1)
        await put(kafka, topics.ALERTS, [wire.encode_alert(alert("a", 100))] * 2, partition=0)

    asyncio.run(fill())
    return kafka


def test_the_command_writes_the_files_of_annotate(recorded: KafkaSettings, tmp_path: Path) -> None:
    run(recorded, "alerts", "beats", "--since", "begin", "--until-end", "--out", str(tmp_path / "got"))
    expected = wire.encode_alert(alert("a", 100)) + b"\n" + wire.encode_alert(alert("a", 100, "cleared")) + b"\n"
    assert (tmp_path / "got" / "a.alerts.jsonl").read_bytes() == expected
    assert (tmp_path / "got" / "b.alerts.jsonl").read_bytes() == b""
    (tmp_path / "direct").mkdir()
    write_annotations(tmp_path / "direct", "a", 360.0, [beat(100), beat(400, "V")], [LAST], [wire.Mark(90, "+", "(N")])
    assert (tmp_path / "got" / "a.tb").read_bytes() == (tmp_path / "direct" / "a.tb").read_bytes()
    read = wfdb.rdann(str(tmp_path / "got" / "a"), "tb")
    assert (list(read.sample), read.symbol) == ([90, 100, 400], ["+", "S", "V"])


def test_the_command_filters_counts_and_speaks_json(recorded: KafkaSettings) -> None:
    everything = ("--since", "begin", "--until-end", "--json")
    lines = [json.loads(text) for text in run(recorded, "beats", *everything).splitlines()]
    assert len(lines) == 5
    assert {(text["bed"], text["sample"]) for text in lines} == {("a", 100), ("a", 400), ("a", 90), ("b", 60)}
    assert [(text["label"], text["known_ms"]) for text in lines if text["sample"] == 100] == [
        ("N", 320.0),
        ("S", 1120.0),
    ]
    only = [json.loads(text) for text in run(recorded, "beats", *everything, "--bed", "b").splitlines()]
    assert [text["sample"] for text in only] == [60]
    assert len(run(recorded, "beats", *everything, "--count", "2").splitlines()) == 2
    told = [wire.decode_alert(text.encode()) for text in run(recorded, "alerts", *everything).splitlines()]
    assert len(told) == 2
    assert alert("a", 100) in told
    assert alert("a", 100, "cleared") in told


def test_lines_for_people_name_bed_condition_and_values(recorded: KafkaSettings) -> None:
    said = run(recorded, "alerts", "beats", "--since", "begin", "--until-end")
    assert len(said.splitlines()) == 7
    assert "ventricular tachycardia" in said
    assert "rate_per_min 182" in said
    assert "99%" in said
    assert "last word S  75%" in said


def test_a_bed_that_is_no_file_name_costs_the_others_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is told as soon as it is heard of, once, and at the end."""

    async def follow(*_: object) -> AsyncGenerator[tail.Event, None]:
        for bed in ("ward 1/208", "201", "ward 1/208", "../../etc/passwd"):
            yield tail.Event(bed, 360.0, beat(300))

    monkeypatch.setattr(tail, "follow", follow)
    ended = CliRunner().invoke(app, ["tail", "beats", "--out", str(tmp_path / "new")])
    assert isinstance(ended.exception, RecordError)
    assert "'ward 1/208' cannot be the name" in str(ended.exception)
    assert ended.stderr.count("not kept: bed 'ward 1/208'") == 1
    assert "'../../etc/passwd'" in str(ended.exception)
    assert [path.name for path in tmp_path.rglob("*")] == ["new", "201.tb"]


def test_each_run_of_a_bed_has_files_of_its_own(tmp_path: Path) -> None:
    """Only while a device counts on, at one rate, is a sample one moment."""
    collection = tail.Collection()
    again = msgspec.structs.replace(alert("a", 100), id=wire.alert_id("a", "ventricular_tachycardia", 100, 1))
    for event in (
        tail.Event("a", 250.0, beat(900), numbering=1),
        tail.Event("a", 360.0, beat(100), numbering=0),
        tail.Event("a", 360.0, beat(150, "V"), numbering=1),
        tail.Event("a", 360.0, LAST, numbering=0),
        *tail.read(Record(wire.encode_alert(alert("a", 100))), "alerts"),
        *tail.read(Record(wire.encode_alert(again)), "alerts"),
        tail.Event("b", 360.0, beat(300), numbering=7),
    ):
        assert collection.add(event)  # type: ignore[arg-type]
    for stale in ("a.4.tb", "b.2.alerts.jsonl", "b.tb", "b.note.tb"):
        (tmp_path / stale).touch()
    paths = collection.write(tmp_path, ["alerts", "beats"])
    names = [f"{run}.{kind}" for run in ("a", "a.2", "a.3", "b") for kind in ("tb", "alerts.jsonl")]
    assert [path.name for path in paths] == names
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([*names, "b.note.tb"])
    told = {run: wfdb.rdann(str(tmp_path / run), "tb") for run in ("a", "a.2", "a.3", "b")}
    assert {run: (read.fs, list(read.sample), read.symbol) for run, read in told.items()} == {
        "a": (360, [100], ["S"]),
        "a.2": (360, [150], ["V"]),
        "a.3": (250, [900], ["N"]),
        "b": (360, [300], ["N"]),
    }
    assert (tmp_path / "a.alerts.jsonl").read_bytes() == wire.encode_alert(alert("a", 100)) + b"\n"
    assert (tmp_path / "a.2.alerts.jsonl").read_bytes() == wire.encode_alert(again) + b"\n"
    assert (tmp_path / "a.3.alerts.jsonl").read_bytes() == b""


def test_a_bed_that_cannot_be_written_costs_the_others_nothing(tmp_path: Path) -> None:
    collection = tail.Collection()
    for bed in "abc":
        collection.add(tail.Event(bed, 360.0, beat(300)))
    (tmp_path / "b.tb").mkdir()
    with pytest.raises(RecordError, match=r"of 3 beds 1 could not be written.*b\.tb is a folder"):
        collection.write(tmp_path, ["beats"])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.tb", "b.tb", "c.tb"]


class Record(NamedTuple):
    """One of a topic."""

    value: bytes


@given(st.integers(0, 50), st.integers(0, 1000))
def test_an_alert_tells_the_numbering_by_its_id(numbering: int, onset: int) -> None:
    said = msgspec.structs.replace(
        alert("a", onset), id=wire.alert_id("a", "ventricular_tachycardia", onset, numbering)
    )
    assert wire.numbering_of(said) == numbering
    assert wire.numbering_of(msgspec.structs.replace(said, id="of another version")) == 0


@pytest.mark.parametrize("text", ["999999999d", "18263d", f"{'9' * 400}s"])
def test_since_refuses_a_time_before_there_were_any(text: str) -> None:
    with pytest.raises(SettingsError, match=r"50 years.*--since begin"):
        tail.parse_since(text)


@given(st.floats(0, 18262, allow_nan=False).map(lambda x: round(x, 3)), st.sampled_from("smhd"))
def test_since_reads_every_time_back(number: float, unit: str) -> None:
    assert tail.parse_since(f"{number:f}{unit}") == pytest.approx(
        number * {"s": 1, "m": 60, "h": 3600, "d": 86400}[unit]
    )


@given(st.text().filter(lambda text: text not in ("begin", "end") and text[-1:] not in ("s", "m", "h", "d")))
def test_since_refuses_the_rest(text: str) -> None:
    with pytest.raises(SettingsError, match="begin, end"):
        tail.parse_since(text)


def test_since_begin_and_end() -> None:
    assert tail.parse_since("begin") is None
    assert tail.parse_since("end") == 0


BEATS = st.builds(beat, st.integers(0, 50), st.sampled_from(CLASSES))


@given(st.lists(st.tuples(st.sampled_from("ab"), BEATS), max_size=40))
def test_seen_is_a_set_per_bed(said: list[tuple[str, wire.Beat]]) -> None:
    seen = tail.Seen()
    new = [seen.first(tail.Event(bed, 360.0, what)) for bed, what in said]
    assert new == [item not in said[:i] for i, item in enumerate(said)]


def test_seen_forgets_what_is_long_past(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tail, "REMEMBERED", 3)
    seen = tail.Seen()
    assert all(seen.first(tail.Event("a", 360.0, beat(sample))) for sample in (1, 2, 3, 4))
    assert seen.first(tail.Event("a", 360.0, beat(4), numbering=1)), "the same record, played once more"
    assert not seen.first(tail.Event("a", 360.0, beat(4), numbering=1))
    assert seen.first(tail.Event("a", 360.0, beat(1)))
    assert not seen.first(tail.Event("a", 360.0, beat(4)))


def test_a_time_that_is_rounded_carries_over() -> None:
    assert [elapsed(at) for at in (59.9994, 59.9996, 3599.9996)] == ["0:00:59.999", "0:01:00.000", "1:00:00.000"]


@given(st.integers(0, 10**7))
def test_elapsed_is_hours_minutes_seconds(milliseconds: int) -> None:
    hours, minutes, seconds = elapsed(milliseconds / 1000).split(":")
    assert int(hours) * 3600 + int(minutes) * 60 + float(seconds) == pytest.approx(milliseconds / 1000, abs=2e-3)
    assert len(minutes) == 2
    assert len(seconds) == 6


def test_a_bed_cannot_write_markup_onto_the_terminal() -> None:
    from rich.text import Text

    text = Text.from_markup(line(tail.Event("[red]x", 360.0, beat(1)))).plain
    assert "[red]x" in text
    assert json.loads(json_line(tail.Event("[red]x", 360.0, wire.Mark(5, "~"))))["symbol"] == "~"
