"""Kafka clients, made from the settings and nothing else.

`producer`, `consumer` and `admin` return aiokafka's own clients with three differences: a cluster that cannot be
reached is a `KafkaError` that says what to look at, a client that failed to start is closed, and `stop` ends in a few
times `STOP_S` even when the cluster has gone (aiokafka's waits for it without end, its issues 1013 and 1101). Besides,
a producer waits for a partition that has no leader, however long. All three are asynchronous context managers::

    async with producer(settings) as out, consumer(settings, topic(settings, "ecg.frames"), group="ward") as frames:
        ...

They must be made inside the event loop that runs them.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import ssl
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable
from typing import Any, Final, Self

import aiokafka.consumer.fetcher
import aiokafka.errors
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.helpers import create_ssl_context
from aiokafka.record import default_records, legacy_records, memory_records

from stream.batches import ReadableRecords
from stream.errors import KafkaError
from stream.settings import KafkaSettings

LINGER_MS: Final = 2  # a fiftieth of a frame's 100 ms epoch, enough to batch what one ward step publishes
BATCH_BYTES: Final = 256 * 1024  # 64 beds of 2-lead, 250 ms frames fit in a batch even when all share a partition
MAX_RECORD_BYTES: Final = 4 * 1024 * 1024  # far above a bed's snapshot (30 KB) and a frame; Kafka's default is 1 MB
FETCH_WAIT_MS: Final = 100  # the broker answers at once when there is data; this bounds only the idle poll
REQUEST_MS: Final = 15_000  # a monitor must know within seconds, not aiokafka's 40 s, that a broker is dead
SESSION_MS: Final = 10_000  # a worker is called dead after this: the bound on how long its beds stay unwatched
HEARTBEAT_MS: Final = 3_000  # a third of the session, as Kafka's documentation advises
METADATA_MS: Final = 10_000  # in which new partitions are noticed: their beds are unwatched for as long
STOP_S: Final = 5.0  # then a client is cut off rather than asked

# A consumer makes them by this name, and can be given no others.
aiokafka.consumer.fetcher.PartitionRecords = ReadableRecords


class _Guarded(ABC):
    """Start with a clear error, stop in bounded time; mixed in before an aiokafka client."""

    async def start(self) -> None:
        """Connect.

        Raises
        ------
        KafkaError
            If no broker answers or lets this client in; the client is closed then.
        """
        try:
            await super().start()  # type: ignore[misc]
        except (aiokafka.errors.KafkaError, OSError, TimeoutError) as error:
            await self._end()
            raise explain(error) from error
        except BaseException:  # cancelled: leave no open socket behind
            await self._end()
            raise

    @abstractmethod
    async def _end(self) -> None:
        """Close in bounded time, whatever the broker does."""


class Producer(_Guarded, AIOKafkaProducer):  # type: ignore[misc]
    """An `AIOKafkaProducer` that keeps the order whatever happens, and stops in bounded time."""

    async def start(self) -> None:
        """Connect; raises as the others do."""
        # A batch given up leaves a hole in the sequence, and what follows it is refused or comes before it: a partition
        # without a leader is waited for. Who sends bounds what may wait.
        self._message_accumulator._batch_ttl = math.inf
        await super().start()

    async def stop(self) -> None:
        """Send what is buffered, then close; what cannot be sent within `STOP_S` is given up."""
        await self._end()

    async def _end(self) -> None:
        ended = await _within(super().stop())
        if not ended:
            if (sender := self._sender.sender_task) is not None:
                sender.cancel()
            await _within(self.client.close())  # first: the sender waits for the answers to what it has sent
            await _cancel(sender)
            self.give_up()

    def give_up(self) -> None:
        """Fail what is not sent, so that it is never sent, and nothing of it reported as an error nobody looked at."""
        accumulator = self._message_accumulator
        accumulator.reenqueue = lambda _: None  # one that waits for its next attempt is done with, too
        # A batch that waits for another attempt has left the set its own callback is going to take it out of.
        accumulator._pending_batches.update(*accumulator._batches.values())
        accumulator.fail_all(aiokafka.errors.KafkaConnectionError("stopped before it was sent"))
        for batch in accumulator._pending_batches:
            if batch._drain_waiter.done():
                batch._drain_waiter.exception()
        accumulator._batches.clear()


class Consumer(_Guarded, AIOKafkaConsumer):  # type: ignore[misc]
    """An `AIOKafkaConsumer` that stops in bounded time."""

    async def start(self) -> None:
        """Connect; raises as the others do."""
        await super().start()
        if self._group_id is not None:
            self._coordinator._do_commit_offsets = _heeded(self._coordinator._do_commit_offsets)

    def following(self, tp: TopicPartition) -> int | None:
        """Offset of what `getmany` brings next; None while that is not known, or the partition is another's.

        What it stepped over, such as the marks that end a transaction, lies before it.
        """
        assignment = None if self._subscription.subscription is None else self._subscription.subscription.assignment
        if assignment is None or tp not in assignment.tps:
            return None
        state = assignment.state_value(tp)
        return int(state.position) if state.has_valid_position else None

    async def stop(self) -> None:
        """Leave the group and close. Offsets are not committed: that is the caller's decision."""
        await self._end()

    async def _end(self) -> None:
        ended = await _within(super().stop())
        if not ended:
            for task in ("_coordination_task", "_heartbeat_task"):  # they would go on asking for the group
                await _cancel(getattr(self._coordinator, task, None))
            if self._fetcher is not None:
                await _within(self._fetcher.close())
            await _within(self._client.close())


class Admin(_Guarded, AIOKafkaAdminClient):  # type: ignore[misc]
    """An `AIOKafkaAdminClient` as an asynchronous context manager."""

    async def close(self) -> None:
        """Close the connection."""
        await self._end()

    async def _end(self) -> None:
        await _within(super().close())

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()


def producer(settings: KafkaSettings, **overrides: Any) -> Producer:
    """A producer whose records are written once and in order: idempotent, acknowledged by all in-sync replicas.

    Parameters
    ----------
    settings : KafkaSettings
        Where the cluster is and how to be let in.
    **overrides
        Any argument of `AIOKafkaProducer`.
    """
    require_c_extension()
    options = {
        "enable_idempotence": True,
        "acks": "all",
        "linger_ms": LINGER_MS,
        "max_batch_size": BATCH_BYTES,
        "max_request_size": MAX_RECORD_BYTES,
        "compression_type": None,  # int16 noise: to pack it costs more than it saves
    }
    return Producer(**connection(settings), **(options | overrides))


def consumer(settings: KafkaSettings, *topics: str, group: str | None = None, **overrides: Any) -> Consumer:
    """A consumer that commits nothing by itself and starts at the beginning where its group has no offset.

    A batch that cannot be read comes as a `stream.batches.UnreadableBatch`.

    Take all there is with each `getmany`: what is left lying makes aiokafka hold back the next fetch for 100 ms.

    Parameters
    ----------
    settings : KafkaSettings
        Where the cluster is and how to be let in.
    *topics : str
        Full names (see `topic`); none, to assign partitions by hand.
    group : str, optional
        Consumer group; without one the consumer reads every partition and cannot commit.
    **overrides
        Any argument of `AIOKafkaConsumer`.
    """
    require_c_extension()
    options = {
        "group_id": group,
        "enable_auto_commit": False,
        "auto_offset_reset": "earliest",
        # A frame was measured whether its gateway's transaction ends well or not, and comes again if not. To wait for
        # the end would be to keep all beds of the partition waiting whenever one gateway hangs in the midst of its own.
        "isolation_level": "read_uncommitted",
        "fetch_min_bytes": 1,
        "fetch_max_wait_ms": FETCH_WAIT_MS,
        "session_timeout_ms": SESSION_MS,
        "heartbeat_interval_ms": HEARTBEAT_MS,
        "metadata_max_age_ms": METADATA_MS,
    }
    return Consumer(*topics, **connection(settings), **(options | overrides))


def admin(settings: KafkaSettings, **overrides: Any) -> Admin:
    """A client that makes, changes and describes topics and groups."""
    return Admin(**(connection(settings) | overrides))


def topic(settings: KafkaSettings, name: str) -> str:
    """The topic's name on this cluster: with the prefix of the settings before it."""
    return settings.topic_prefix + name


def require_c_extension() -> None:
    """Raise `KafkaError` if aiokafka reads and writes records in pure Python, which is ten times slower."""
    parts = (default_records.DefaultRecordBatch, legacy_records.LegacyRecordBatch, memory_records.MemoryRecords)
    slow = [part.__name__ for part in parts if "_crecords" not in part.__module__]
    if slow:
        raise KafkaError(
            "aiokafka runs without its C extension and cannot keep up with a ward: unset AIOKAFKA_NO_EXTENSIONS, and "
            "install a binary wheel with `pip install --force-reinstall --only-binary :all: aiokafka`"
        )


def connection(settings: KafkaSettings) -> dict[str, Any]:
    """The arguments every aiokafka client takes: where, how encrypted, as whom.

    Raises
    ------
    KafkaError
        If a certificate or key cannot be read, or a SASL name or password is missing.
    """
    options: dict[str, Any] = {
        "bootstrap_servers": settings.bootstrap,
        "security_protocol": settings.security_protocol,
        "request_timeout_ms": REQUEST_MS,
    }
    if "SSL" in settings.security_protocol:
        options["ssl_context"] = _ssl_context(settings)
    if "SASL" in settings.security_protocol:
        if settings.sasl_username is None or settings.sasl_password is None:
            raise KafkaError(
                f"{settings.security_protocol} needs TELEBEAT_KAFKA_SASL_USERNAME and TELEBEAT_KAFKA_SASL_PASSWORD"
            )
        options |= {
            "sasl_mechanism": settings.sasl_mechanism,
            "sasl_plain_username": settings.sasl_username,
            "sasl_plain_password": settings.sasl_password.get_secret_value(),
        }
    return options


def explain(error: BaseException) -> KafkaError:
    """The `KafkaError` that tells what to check for an exception of aiokafka or of a socket."""
    text = str(error).removeprefix(f"{type(error).__name__}: ") or type(error).__name__
    if isinstance(error, aiokafka.errors.AuthenticationFailedError | aiokafka.errors.SaslAuthenticationFailed):
        return KafkaError(
            f"Kafka refused the login: check TELEBEAT_KAFKA_SASL_USERNAME, _PASSWORD, _MECHANISM ({text})"
        )
    if isinstance(error, aiokafka.errors.TopicAuthorizationFailedError | aiokafka.errors.GroupAuthorizationFailedError):
        return KafkaError(f"Kafka does not permit this user what telebeat needs: {text}")
    if isinstance(error, aiokafka.errors.UnknownTopicOrPartitionError):
        return KafkaError(f"the topic does not exist: make the topics with `telebeat topics create` ({text})")
    if isinstance(error, aiokafka.errors.KafkaConnectionError | OSError | TimeoutError):
        return KafkaError(
            f"no Kafka broker answers ({text}); check TELEBEAT_KAFKA_BOOTSTRAP and TELEBEAT_KAFKA_SECURITY_PROTOCOL, "
            "or start one with `telebeat broker`"
        )
    return KafkaError(f"Kafka refused: {text}")


def _ssl_context(settings: KafkaSettings) -> ssl.SSLContext:
    """TLS as the settings say; without an authority file the system's own are trusted."""
    try:
        context: ssl.SSLContext = create_ssl_context(
            cafile=settings.ca_file, certfile=settings.cert_file, keyfile=settings.key_file
        )
    except (OSError, ssl.SSLError) as error:
        raise KafkaError(
            f"cannot read the certificates: check TELEBEAT_KAFKA_CA_FILE, _CERT_FILE and _KEY_FILE ({error})"
        ) from error
    return context


async def _within(ending: Any) -> bool:
    """Await `ending` for at most `STOP_S`; whether it came to its end.

    aiokafka's ends early, as if it had been cancelled, when it cancels one of its tasks that waits for a next attempt.
    """
    try:
        await asyncio.wait_for(ending, STOP_S)
    except TimeoutError:
        logging.getLogger(__name__).warning("a Kafka client did not stop within %g s and is cut off", STOP_S)
        return False
    except asyncio.CancelledError:
        if (caller := asyncio.current_task()) is None or caller.cancelling():
            raise
        return False
    return True


def _heeded(work: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
    """The same work, with the exception of a task that does it marked as retrieved.

    aiokafka lets a commit's request go on when whoever asked for it is cancelled, and nobody takes its error.
    """

    async def run(*given: Any) -> Any:
        task = asyncio.current_task()
        assert task is not None
        task.add_done_callback(lambda ended: ended.cancelled() or ended.exception())
        return await work(*given)

    return run


async def _cancel(task: asyncio.Task[Any] | None) -> None:
    """Cancel a task and wait for it to end, whatever it ends with."""
    if task is not None and not task.done():
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError, Exception):
            await asyncio.wait_for(asyncio.shield(task), STOP_S)
