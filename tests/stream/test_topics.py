from __future__ import annotations

import pytest
from aiokafka.admin import NewTopic
from hypothesis import given
from hypothesis import strategies as st

from stream import kafka as clients
from stream import topics
from stream.commands.topics import kept
from stream.errors import KafkaError
from stream.settings import KafkaSettings


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


async def test_what_is_missing_is_added_and_what_differs_is_told_not_changed(kafka: KafkaSettings) -> None:
    name = clients.topic(kafka, topics.FRAMES)
    async with clients.admin(kafka) as admin:
        await admin.create_topics([NewTopic(name, 2, 1, topic_configs={"retention.ms": "60000"})])
    found = {topic.name: topic for topic in await topics.create(kafka)}
    assert not found.pop(name).made
    assert all(topic.made and not topic.differences for topic in found.values())
    frames = next(topic for topic in await topics.describe(kafka) if topic.name == name)
    assert frames.config["retention.ms"] == "60000"
    assert any("retention.ms is 60000" in text for text in frames.differences)


async def test_another_number_of_partitions_is_refused_and_nothing_made(kafka: KafkaSettings) -> None:
    name = clients.topic(kafka, topics.STATE)
    async with clients.admin(kafka) as admin:
        await admin.create_topics([NewTopic(name, 3, 1)])
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
