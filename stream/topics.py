"""The topics of telebeat: what each keeps and for how long, and how they are made.

`ecg.frames`, `ecg.beats`, `ecg.commands` and `ecg.state` are keyed by bed, `ecg.alerts` by alert. All have the same
number of partitions: a worker that is given partition 3 of one finds the same beds in partition 3 of the others.
"""

from __future__ import annotations

import asyncio
import time
from typing import Any, Final

import aiokafka.errors
import msgspec
from aiokafka.admin import NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from stream import kafka
from stream.errors import KafkaError
from stream.settings import KafkaSettings

FRAMES: Final = "ecg.frames"
BEATS: Final = "ecg.beats"
ALERTS: Final = "ecg.alerts"
COMMANDS: Final = "ecg.commands"
STATE: Final = "ecg.state"
NEEDED: Final = (FRAMES, BEATS, ALERTS, STATE)  # by a worker

HOUR_MS: Final = 3_600_000
DAY_MS: Final = 24 * HOUR_MS
VISIBLE_S: Final = 30.0  # for new partitions to have leaders; a single node takes some 50 ms

_MAX_BYTES: Final = {"max.message.bytes": str(kafka.MAX_RECORD_BYTES)}
_COMPACTED_SOON: Final = {
    "segment.bytes": str(16 * 1024 * 1024),  # only closed segments are compacted: small ones keep a restore short
    "segment.ms": str(HOUR_MS),
    "min.cleanable.dirty.ratio": "0.1",
}

#: Topic configuration of the design. Values are strings, as Kafka has them.
TOPICS: Final[dict[str, dict[str, str]]] = {
    FRAMES: {
        "cleanup.policy": "delete",
        "retention.ms": str(DAY_MS),  # the longest gap after which a worker can still be rebuilt from the log
        "segment.ms": str(HOUR_MS),  # so that a quiet partition, too, forgets by the hour
        **_MAX_BYTES,
    },
    BEATS: {
        "cleanup.policy": "delete",
        "retention.ms": str(30 * DAY_MS),  # a hospital stay
        **_MAX_BYTES,
    },
    ALERTS: {
        "cleanup.policy": "compact,delete",  # the last state of each alert, and none for ever
        "retention.ms": str(30 * DAY_MS),
        "min.compaction.lag.ms": str(DAY_MS),  # a day's raised and cleared messages stay apart for whoever follows
        **_MAX_BYTES,
    },
    COMMANDS: {"cleanup.policy": "compact", **_COMPACTED_SOON, **_MAX_BYTES},
    STATE: {"cleanup.policy": "compact", **_COMPACTED_SOON, **_MAX_BYTES},
}


REDUNDANT: Final = 3  # copies from which on a broker may be away and most of them are still two or more


def designed(settings: KafkaSettings) -> dict[str, dict[str, str]]:
    """What the design asks of each topic, by its name on the cluster.

    Of three copies or more, most have to be written before a message is confirmed: what a worker takes for durable then
    outlives any one broker.
    """
    copies = settings.replication
    durable = {"min.insync.replicas": str(copies // 2 + 1)} if copies >= REDUNDANT else {}
    return {kafka.topic(settings, name): config | durable for name, config in TOPICS.items()}


class Topic(msgspec.Struct, frozen=True):
    """A topic as it stands on the cluster.

    Attributes
    ----------
    name : str
        With its prefix.
    made : bool
        Whether this call made it.
    partitions, replication : int
        As they are.
    config : dict of str to str
        The settings of `designed`, as they are.
    differences : tuple of str
        Where it is not what the design asks for, such as ``retention.ms is 1000, not 86400000``.
    """

    name: str
    made: bool
    partitions: int
    replication: int
    config: dict[str, str]
    differences: tuple[str, ...]


async def create(settings: KafkaSettings, partitions: int | None = None) -> list[Topic]:
    """Make the topics that are missing and say how those that exist differ.

    Nothing that exists is changed, and nothing is made if what exists has another number of partitions.

    Parameters
    ----------
    settings : KafkaSettings
        Cluster, prefix, replication.
    partitions : int, optional
        Of each topic; the settings' when left out.

    Returns
    -------
    list of Topic
        In the order of `TOPICS`.

    Raises
    ------
    KafkaError
        If the cluster cannot be reached, refuses, or has the topics with another number of partitions.
    """
    wanted = partitions or settings.partitions
    async with kafka.admin(settings) as client:
        before = {topic.name: topic for topic in await _describe(client, settings, wanted)}
        _require_partitions(before, wanted)
        missing = {name: config for name, config in designed(settings).items() if name not in before}
        made = await _make(client, missing, wanted, settings.replication) if missing else set()
        after = await _describe(client, settings, wanted)
        _require_partitions({topic.name: topic for topic in after}, wanted)  # another process may have been first
        return [msgspec.structs.replace(topic, made=topic.name in made) for topic in after]


async def describe(settings: KafkaSettings, partitions: int | None = None) -> list[Topic]:
    """The topics of telebeat that exist on the cluster, in the order of `TOPICS`."""
    async with kafka.admin(settings) as client:
        return await _describe(client, settings, partitions or settings.partitions)


async def sizes(settings: KafkaSettings) -> dict[str, int]:
    """How many partitions each topic has that a worker needs.

    Raises
    ------
    KafkaError
        If one is missing, or the cluster cannot be reached.
    """
    async with kafka.admin(settings) as client:
        found = await _asked(client.describe_topics([kafka.topic(settings, name) for name in NEEDED]))
    counts = {topic["topic"]: 0 if topic["error_code"] else len(topic["partitions"]) for topic in found}
    if missing := [name for name, count in counts.items() if not count]:
        raise KafkaError(f"the cluster has no topic {', '.join(missing)}: make it with `telebeat topics create`")
    return counts


async def _describe(client: kafka.Admin, settings: KafkaSettings, wanted: int) -> list[Topic]:
    names = designed(settings)
    existing = {
        found["topic"]: found["partitions"]
        for found in await _asked(client.describe_topics(list(names)))
        if found["error_code"] == 0
    }
    if not existing:
        return []
    resources = [ConfigResource(ConfigResourceType.TOPIC, name, dict.fromkeys(names[name])) for name in existing]
    configs: dict[str, dict[str, str]] = {}
    for response in await _asked(client.describe_configs(resources)):
        for code, message, _, name, entries in response.resources:
            if code:
                raise KafkaError(
                    f"Kafka does not describe {name}: {message or aiokafka.errors.for_code(code).__name__}"
                )
            configs[name] = {entry[0]: entry[1] for entry in entries}
    topics = []
    for name, config in names.items():
        if name not in existing:
            continue
        count = len(existing[name])
        replication = min(len(partition["replicas"]) for partition in existing[name])
        differences = [
            f"{key} is {configs[name].get(key)}, not {value}"
            for key, value in config.items()
            if not _same(configs[name].get(key), value)
        ]
        if count != wanted:
            differences.insert(0, f"partitions are {count}, not {wanted}")
        if replication != settings.replication:
            differences.append(f"replication is {replication}, not {settings.replication}")
        topics.append(Topic(name, False, count, replication, configs[name], tuple(differences)))
    return topics


def _same(found: str | None, wanted: str) -> bool:
    """Whether two settings mean the same: lists such as ``compact,delete`` have no order."""
    return found is not None and sorted(found.split(",")) == sorted(wanted.split(","))


def _require_partitions(existing: dict[str, Topic], wanted: int) -> None:
    wrong = [f"{topic.name} has {topic.partitions}" for topic in existing.values() if topic.partitions != wanted]
    if wrong:
        raise KafkaError(
            f"{wanted} partitions were asked for, but {', '.join(wrong)}. Beds would move between partitions and lose "
            "their state, so nothing was changed: use --partitions with the number that is there, another "
            "TELEBEAT_KAFKA_TOPIC_PREFIX, or delete the topics"
        )


async def _make(client: kafka.Admin, missing: dict[str, dict[str, str]], partitions: int, replication: int) -> set[str]:
    """Make topics and wait until they can be used; the names of those that were not there yet."""
    made = set()
    new = [NewTopic(name, partitions, replication, topic_configs=config) for name, config in missing.items()]
    response = await _asked(client.create_topics(new))
    for name, code, message in response.topic_errors:
        error = aiokafka.errors.for_code(code)
        if error is aiokafka.errors.TopicAlreadyExistsError:  # another process was first
            continue
        if error is aiokafka.errors.InvalidReplicationFactorError:
            raise KafkaError(
                f"the cluster cannot keep {replication} copies of {name}: set TELEBEAT_KAFKA_REPLICATION to at most "
                f"the number of its brokers ({message})"
            )
        if code:
            raise KafkaError(f"Kafka does not make {name}: {message or error.__name__}")
        made.add(name)
    await _await_leaders(client, list(missing))
    return made


async def _await_leaders(client: kafka.Admin, names: list[str]) -> None:
    """Return when every partition can be written and read."""
    deadline = time.monotonic() + VISIBLE_S
    while True:
        found = await _asked(client.describe_topics(names))
        if all(t["error_code"] == 0 and all(p["leader"] >= 0 for p in t["partitions"]) for t in found):
            return
        if time.monotonic() > deadline:
            raise KafkaError(f"the new topics had no leaders after {VISIBLE_S:g} s: are all brokers of the cluster up?")
        await asyncio.sleep(0.02)


async def _asked(request: Any) -> Any:
    """The answer to a request of the admin client; its errors as `KafkaError`."""
    try:
        return await request
    except (aiokafka.errors.KafkaError, OSError, TimeoutError) as error:
        raise kafka.explain(error) from error
