from __future__ import annotations

import asyncio

import pytest
from aiokafka.admin import NewTopic
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner, Result

from stream import kafka as clients
from stream import topics
from stream.cli import app
from stream.commands.topics import kept
from stream.errors import KafkaError
from stream.settings import KafkaSettings


async def make(settings: KafkaSettings, topic: NewTopic) -> None:
    """Make a topic as somebody else would, and wait until the whole cluster knows it."""
    async with clients.admin(settings) as admin:
        await admin.create_topics([topic])
    while not await topics.describe(settings):  # noqa: ASYNC110
        await asyncio.sleep(0.01)


async def test_topics_are_made_once_and_are_as_designed(kafka: KafkaSettings) -> None:
    made = await topics.create(kafka)
    assert [topic.name for topic in made] == [clients.topic(kafka, name) for name in topics.TOPICS]
    assert all(topic.made and topic.partitions == 2 and topic.differences == () for topic in made)
    again = await topics.create(kafka)
    assert [topic.name for topic in again] == [topic.name for topic in made]
    assert not any(topic.made or topic.differences for topic in again)
    by_name = {topic.name.removeprefix(kafka.topic_prefix): topic.config for topic in again}
    assert by_name["ecg.frames"]["cleanup.policy"] == "delete"
    assert by_name["ecg.state"]["cleanup.policy"] == by_name["ecg.commands"]["cleanup.policy"] == "compact"
    assert set(by_name["ecg.alerts"]["cleanup.policy"].split(",")) == {"compact", "delete"}
    assert int(by_name["ecg.beats"]["retention.ms"]) > int(by_name["ecg.frames"]["retention.ms"])


@pytest.mark.parametrize(("copies", "written"), [(1, None), (2, None), (3, "2"), (5, "3")])
def test_what_is_confirmed_outlives_a_broker_where_there_are_three(copies: int, written: str | None) -> None:
    """Kafka confirms to one copy by default: with it, an alert could be lost that was taken for durable."""
    made = topics.designed(KafkaSettings(replication=copies))
    assert len(made) == len(topics.TOPICS)
    assert {config.get("min.insync.replicas") for config in made.values()} == {written}


async def test_what_is_missing_is_added_and_what_differs_is_told_not_changed(kafka: KafkaSettings) -> None:
    name = clients.topic(kafka, topics.FRAMES)
    await make(kafka, NewTopic(name, 2, 1, topic_configs={"retention.ms": "60000"}))
    found = {topic.name: topic for topic in await topics.create(kafka)}
    assert not found.pop(name).made
    assert all(topic.made and not topic.differences for topic in found.values())
    frames = next(topic for topic in await topics.describe(kafka) if topic.name == name)
    assert frames.config["retention.ms"] == "60000"
    assert any("retention.ms is 60000" in text for text in frames.differences)


async def test_another_number_of_partitions_is_refused_and_nothing_made(kafka: KafkaSettings) -> None:
    name = clients.topic(kafka, topics.STATE)
    await make(kafka, NewTopic(name, 3, 1))
    with pytest.raises(KafkaError, match=r"2 partitions were asked for, but .*ecg\.state has 3"):
        await topics.create(kafka)
    assert [topic.name for topic in await topics.describe(kafka)] == [name]
    assert all(topic.partitions == 3 for topic in await topics.create(kafka, partitions=3))


async def test_new_topics_can_be_written_at_once(kafka: KafkaSettings) -> None:
    await topics.create(kafka)
    async with clients.producer(kafka) as out:
        for name in topics.TOPICS:
            await out.send_and_wait(clients.topic(kafka, name), b"value", key=b"bed")


async def test_more_copies_than_brokers_names_the_setting(kafka: KafkaSettings) -> None:
    async with clients.admin(kafka) as admin:
        brokers = len((await admin.describe_cluster())["brokers"])
    if brokers >= 7:
        pytest.skip("the cluster has as many brokers as there can be copies")
    with pytest.raises(KafkaError, match="TELEBEAT_KAFKA_REPLICATION"):
        await topics.create(kafka.model_copy(update={"replication": brokers + 1}))


def test_the_commands_make_and_show_topics(kafka: KafkaSettings) -> None:
    environment = {"TELEBEAT_KAFKA_BOOTSTRAP": kafka.bootstrap, "TELEBEAT_KAFKA_TOPIC_PREFIX": kafka.topic_prefix}

    def run(*arguments: str) -> Result:
        return CliRunner().invoke(app, ["topics", *arguments], env={**environment, "COLUMNS": "200"})

    assert isinstance(run("describe").exception, KafkaError)
    made = run("create", "--partitions", "3").stdout.splitlines()[1:]
    assert [text.split()[:2] for text in made] == [[kafka.topic_prefix + name, "3"] for name in topics.TOPICS]
    assert all(text.rstrip().endswith("made") for text in made)
    again = run("create", "--partitions", "3").stdout
    assert "made" not in again
    assert "24 h" in again
    assert "30 days" in again
    assert isinstance(run("create", "--partitions", "4").exception, KafkaError)


async def test_no_topics_are_none(kafka: KafkaSettings) -> None:
    assert await topics.describe(kafka) == []


@given(st.integers(1, 1000))
def test_kept_tells_hours_and_days(hours: int) -> None:
    number, unit = kept({"retention.ms": str(hours * topics.HOUR_MS)}).split()
    assert float(number) * {"h": 1, "days": 24}[unit] == pytest.approx(hours, rel=1e-4)
    assert (unit == "h") == (hours <= 24)


def test_kept_for_ever_and_by_key() -> None:
    assert kept({"retention.ms": "-1"}) == "for ever"
    assert kept({}) == "last per key"
