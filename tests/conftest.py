"""What all tests share: a real Kafka, and one rule for what is missing."""

from __future__ import annotations

import os
import signal
import uuid
from collections.abc import Iterator
from typing import NoReturn

import hypothesis
import pytest

from stream.broker import Broker
from stream.errors import ExtraError, KafkaError
from stream.settings import KafkaSettings

# The same examples in every run, new ones with `pytest --hypothesis-profile new`. No test has a time to keep: the first
# example may have to wait for a kernel to be compiled.
hypothesis.settings.register_profile("same", derandomize=True, print_blob=True, deadline=None)
hypothesis.settings.register_profile("new", print_blob=True, deadline=None)
hypothesis.settings.load_profile("same")

# A suite started in the background inherits a deaf ear for Ctrl-C, and so would the programs it tests.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_addoption(parser: pytest.Parser) -> None:
    """What a desk may ask for beyond the suite of every day."""
    parser.addoption(
        "--every-record", action="store_true", help="the detector's properties on whole records, not a stretch of each"
    )


def missing(what: str, command: str) -> NoReturn:
    """Skip a test for want of `what`, naming the command that brings it; in CI (CI=true) that is a failure."""
    message = f"{what} is missing: {command}"
    if os.environ.get("CI", "").lower() in ("1", "true"):
        pytest.fail(message)
    pytest.skip(message)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark every test that uses Kafka; with `-n 2 --dist loadgroup` they share a worker, and so a broker."""
    for item in items:
        if {"kafka", "bootstrap"} & set(getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.kafka)
        if item.get_closest_marker("kafka") is not None:
            item.add_marker(pytest.mark.xdist_group("kafka"))


@pytest.fixture(scope="session")
def bootstrap() -> Iterator[str]:
    """``host:port`` of a real Kafka: TELEBEAT_KAFKA_BOOTSTRAP, else the embedded one, started once a session."""
    given = os.environ.get("TELEBEAT_KAFKA_BOOTSTRAP")
    if given:
        yield given
        return
    broker = Broker()
    try:
        broker.__enter__()
    except (ExtraError, KafkaError) as error:
        missing("a Kafka broker", f"pip install -e '.[demo]', or set TELEBEAT_KAFKA_BOOTSTRAP ({error})")
    try:
        yield broker.bootstrap
    finally:
        broker.__exit__()


@pytest.fixture
def kafka(bootstrap: str) -> KafkaSettings:
    """Settings for a real Kafka with topics and a group of this test's own; two partitions, so that there are several.

    The login of an own cluster comes from its `TELEBEAT_KAFKA_...` variables, as for every command.
    """
    own = f"test-{uuid.uuid4().hex[:12]}"
    return KafkaSettings(bootstrap=bootstrap, topic_prefix=f"{own}.", group=own, partitions=2)
