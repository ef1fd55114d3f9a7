from __future__ import annotations

import asyncio
import warnings
from typing import Any

import pytest
from aiokafka.admin import NewTopic
from aiokafka.record import default_records
from hypothesis import given
from hypothesis import strategies as st

from stream import kafka as clients
from stream.broker import Broker, free_port
from stream.errors import KafkaError, TelebeatError
from stream.settings import KafkaSettings


async def make(settings: KafkaSettings, name: str, partitions: int = 1) -> str:
    full = clients.topic(settings, name)
    async with clients.admin(settings) as admin:
        await admin.create_topics([NewTopic(full, partitions, 1)])
    return full


@given(st.text(), st.text())
def test_topic_is_prefix_then_name(prefix: str, name: str) -> None:
    assert clients.topic(KafkaSettings(topic_prefix=prefix), name) == prefix + name


async def test_records_come_back_once_in_order_and_whole(kafka: KafkaSettings) -> None:
    name = await make(kafka, "t")
    sent = [b"%d" % i * (i % 50) for i in range(2000)]
    async with clients.producer(kafka) as out:
        for value in sent:
            await out.send(name, value)
    got: list[bytes] = []
    async with clients.consumer(kafka, name) as reader:
        while len(got) < len(sent):
            for records in (await reader.getmany(timeout_ms=1000)).values():
                got += [record.value for record in records]
    assert got == sent


async def test_a_record_of_the_largest_size_goes_through(kafka: KafkaSettings) -> None:
    name = clients.topic(kafka, "large")
    async with clients.admin(kafka) as admin:
        await admin.create_topics(
            [NewTopic(name, 1, 1, topic_configs={"max.message.bytes": str(clients.MAX_RECORD_BYTES)})]
        )
    value = bytes(clients.MAX_RECORD_BYTES - 1024)
    async with clients.producer(kafka) as out:
        await out.send_and_wait(name, value)
    async with clients.consumer(kafka, name) as reader:
        assert (await reader.getone()).value == value


async def test_a_group_goes_on_where_it_committed_and_only_there(kafka: KafkaSettings) -> None:
    name = await make(kafka, "t")
    async with clients.producer(kafka) as out:
        for i in range(4):
            await out.send_and_wait(name, b"%d" % i)
    async with clients.consumer(kafka, name, group=kafka.group) as reader:
        assert [(await reader.getone()).value for _ in range(2)] == [b"0", b"1"]
        await reader.commit()
        assert (await reader.getone()).value == b"2"  # read, not committed
    async with clients.consumer(kafka, name, group=kafka.group) as reader:
        assert (await reader.getone()).value == b"2"


@pytest.mark.parametrize("make_client", [clients.producer, clients.consumer, clients.admin])
async def test_no_broker_is_one_clear_error_and_an_ended_client(make_client: Any) -> None:
    settings = KafkaSettings(bootstrap=f"127.0.0.1:{free_port()}")
    client = make_client(settings)
    with pytest.raises(KafkaError, match="TELEBEAT_KAFKA_BOOTSTRAP"):
        await client.start()
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # an unclosed client warns when it is collected
        del client


async def test_a_client_that_never_started_can_be_stopped() -> None:
    settings = KafkaSettings(bootstrap=f"127.0.0.1:{free_port()}")
    for client in (clients.producer(settings), clients.consumer(settings, "t", group="g")):
        await client.stop()


@pytest.mark.kafka
async def test_clients_stop_when_the_broker_has_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clients, "STOP_S", 0.5)
    async with Broker() as broker:
        settings = KafkaSettings(bootstrap=broker.bootstrap)
        name = await make(settings, "t")
        out, reader = clients.producer(settings), clients.consumer(settings, name, group="g")
        await out.start()
        await reader.start()
        await out.send_and_wait(name, b"there")
        assert (await reader.getone()).value == b"there"
    lost = await out.send(name, b"nobody takes this")
    await asyncio.wait_for(asyncio.gather(out.stop(), reader.stop()), 60)
    with pytest.raises(Exception, match="stopped before it was sent"):
        await lost


def test_pure_python_records_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    clients.require_c_extension()
    monkeypatch.setattr(default_records, "DefaultRecordBatch", default_records._DefaultRecordBatchPy)
    with pytest.raises(KafkaError, match="AIOKAFKA_NO_EXTENSIONS"):
        clients.require_c_extension()


def test_login_without_a_password_names_the_variables() -> None:
    settings = KafkaSettings(security_protocol="SASL_PLAINTEXT", sasl_username="ward")
    with pytest.raises(KafkaError, match="TELEBEAT_KAFKA_SASL_PASSWORD"):
        clients.connection(settings)


def test_login_reaches_the_client() -> None:
    settings = KafkaSettings(
        security_protocol="SASL_PLAINTEXT", sasl_mechanism="SCRAM-SHA-256", sasl_username="ward", sasl_password="secret"
    )
    options = clients.connection(settings)
    assert (options["sasl_mechanism"], options["sasl_plain_username"], options["sasl_plain_password"]) == (
        "SCRAM-SHA-256",
        "ward",
        "secret",
    )
    assert "secret" not in repr(settings)


def test_an_unreadable_certificate_names_the_variables(tmp_path: Any) -> None:
    settings = KafkaSettings(security_protocol="SSL", ca_file=tmp_path / "none.pem")
    with pytest.raises(KafkaError, match="TELEBEAT_KAFKA_CA_FILE"):
        clients.connection(settings)


def test_tls_checks_the_brokers_name_by_default() -> None:
    context = clients.connection(KafkaSettings(security_protocol="SSL"))["ssl_context"]
    assert context.check_hostname
    assert context.verify_mode.name == "CERT_REQUIRED"


def test_every_explanation_is_an_error_of_telebeat() -> None:
    for error in (OSError("refused"), TimeoutError(), TimeoutError("slow")):
        assert isinstance(clients.explain(error), TelebeatError)
        assert "telebeat broker" in str(clients.explain(error))
