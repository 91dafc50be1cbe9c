"""Clients get the starting configuration, the operator's properties that are theirs, and what cannot be changed."""

import gc
import logging
import socket
import weakref
from collections.abc import Iterator
from concurrent.futures import Future
from typing import Any
from unittest.mock import Mock

import pytest
from confluent_kafka import KafkaError, KafkaException
from hypothesis import given
from hypothesis import strategies as st

from runtime import kafka
from runtime.client_properties import ALIASES, CONSUMER_ONLY, PRODUCER_ONLY, REFUSED
from runtime.config import Kafka, Settings, load
from runtime.errors import ConfigurationError, KafkaUnavailableError
from runtime.logging import KAFKA_LOGGER


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """Librdkafka's own lines are not what is tested here."""
    logging.getLogger(KAFKA_LOGGER).setLevel(logging.CRITICAL)
    yield
    logging.getLogger(KAFKA_LOGGER).setLevel(logging.NOTSET)


@pytest.fixture
def unused_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


def with_client(**properties: str | float | bool) -> Settings:
    """Settings with these properties, `__` for a dot."""
    return Settings(kafka=Kafka(client={name.replace("__", "."): value for name, value in properties.items()}))


def test_the_consumer_reads_committed_and_never_resets() -> None:
    """What the guarantee rests on is set whatever the operator's table says."""
    properties = kafka.consumer_properties(Settings())
    assert properties["isolation.level"] == "read_committed"
    assert properties["auto.offset.reset"] == "error"
    assert properties["enable.auto.commit"] == "false"
    assert properties["partition.assignment.strategy"] == "cooperative-sticky"


def test_the_operator_changes_a_default() -> None:
    """A property of `kafka.client` stands over the starting value."""
    assert kafka.consumer_properties(with_client(session__timeout__ms=6000))["session.timeout.ms"] == "6000"


def test_a_caller_has_the_last_word() -> None:
    """An override stands over everything: restoring wants end-of-partition events."""
    properties = kafka.consumer_properties(Settings(), {"enable.partition.eof": True, "group.id": "beside"})
    assert (properties["enable.partition.eof"], properties["group.id"]) == (True, "beside")


def test_each_client_gets_its_own_properties_only() -> None:
    """A producer's property in the common table does not reach the consumer, nor the other way round."""
    settings = with_client(linger__ms=5, fetch__min__bytes=10, ssl__ca__location="/ca")
    consumer, producer = kafka.consumer_properties(settings), kafka.producer_properties(settings)
    assert ("linger.ms" in consumer, consumer["fetch.min.bytes"], consumer["ssl.ca.location"]) == (False, "10", "/ca")
    assert (producer["linger.ms"], "fetch.min.bytes" in producer, producer["ssl.ca.location"]) == ("5", False, "/ca")


def test_the_new_group_protocol_leaves_the_session_to_the_broker() -> None:
    """KIP-848 rejects the classic protocol's properties, ours and the operator's alike."""
    properties = kafka.consumer_properties(with_client(group__protocol="consumer", heartbeat__interval__ms=1000))
    assert properties["group.protocol"] == "consumer"
    assert not set(kafka.CLASSIC_ONLY) & set(properties)


def test_an_alias_takes_the_place_of_our_default() -> None:
    """`compression.codec` is another name of `compression.type`: only one of them is sent."""
    properties = kafka.producer_properties(with_client(compression__codec="zstd"))
    assert (properties["compression.type"], "compression.codec" in properties) == ("zstd", False)


def test_a_boolean_is_written_as_librdkafka_does() -> None:
    """True becomes `true`."""
    assert kafka.consumer_properties(with_client(check__crcs=False))["check.crcs"] == "false"


def test_only_the_transactional_producer_has_transactions() -> None:
    """The plain producer gets neither the id nor the timeout of transactions."""
    settings = with_client(transaction__timeout__ms=9000)
    transactional, plain = kafka.transactional_properties(settings), kafka.producer_properties(settings)
    assert transactional["transactional.id"] == settings.transactional_id
    assert transactional["transaction.timeout.ms"] == "9000"
    assert not {"transactional.id", "transaction.timeout.ms"} & set(plain)


@pytest.mark.parametrize(("given", "used"), [(None, "4000"), (3000, 3000), (6000, "4000"), (10_000, "4000")])
def test_no_message_outlives_its_transaction(given: int | None, used: int | str) -> None:
    """`message.timeout.ms` is two thirds of the transaction's timeout, unless less is asked for."""
    overrides = {} if given is None else {"message.timeout.ms": given}
    properties = kafka.transactional_properties(with_client(transaction__timeout__ms=6000), overrides)
    assert properties["message.timeout.ms"] == used


def test_keys_are_partitioned_as_java_does() -> None:
    """Producers hash keys with murmur2, as the contract says of the simulator."""
    assert kafka.producer_properties(Settings())["partitioner"] == "murmur2"


@pytest.mark.parametrize("protocol", ["classic", "consumer"])
def test_librdkafka_takes_the_starting_configuration(protocol: str) -> None:
    """The factories' properties are valid, and none is for the other kind of client."""
    settings = with_client(group__protocol=protocol, test__mock__num__brokers=1)
    kafka.consumer(settings).close()
    kafka.producer(settings).close()
    kafka.transactional_producer(settings).close()
    kafka.admin(settings)


def test_a_property_that_librdkafka_does_not_know_is_a_configuration_fault() -> None:
    """Exit code 2 with librdkafka's words, not a traceback."""
    with pytest.raises(ConfigurationError, match=r'kafka\.client: No such configuration property: "nope"'):
        kafka.consumer(with_client(nope=1))


def test_all_client_faults_are_found_at_once() -> None:
    """`config check` names each property that librdkafka refuses; values of secrets are not shown."""
    found = kafka.client_faults(with_client(nope=1, linger__ms="soon", sasl__passwort="hunter2"))
    assert [fault.partition(":")[0] for fault in found] == [
        "kafka.client.nope = 1",
        "kafka.client.linger.ms = soon",
        "kafka.client.sasl.passwort = ***",
    ]


def test_properties_are_also_judged_together() -> None:
    """Each may be right and the whole wrong."""
    (fault,) = kafka.client_faults(with_client(security__protocol="ssl", ssl__ca__location="/no/such/file"))
    assert "ssl.ca.location failed" in fault


def test_right_properties_have_no_fault() -> None:
    """What works is not complained about."""
    assert kafka.client_faults(with_client(session__timeout__ms=6000, linger__ms=1, debug="eos")) == []


@pytest.mark.parametrize("protocol", ["sasl_plaintext", "SASL_SSL"])
def test_a_way_in_with_a_password_has_no_fault(protocol: str) -> None:
    """The protocol is judged with its mechanism: alone it would ask for Kerberos."""
    sasl = {"sasl__mechanism": "PLAIN", "sasl__username": "scorer", "sasl__password": "hunter2"}
    assert kafka.client_faults(with_client(security__protocol=protocol, **sasl)) == []


def test_a_wrong_protocol_is_a_fault() -> None:
    """Also when nothing else is set."""
    (fault,) = kafka.client_faults(with_client(security__protocol="sasl"))
    assert "security.protocol" in fault


@pytest.mark.parametrize("name", sorted(REFUSED))
def test_every_refused_property_is_refused(name: str) -> None:
    """By name, at start."""
    with pytest.raises(ConfigurationError, match="cannot be set"):
        load(None, {"LEAD_SCORER__KAFKA__CLIENT": f'{{"{name}"="1"}}'})


def test_no_property_is_in_two_lists() -> None:
    """A property is refused, or of one kind of client, or of both; and an alias is of the same kind as its name."""
    assert not set(REFUSED) & (CONSUMER_ONLY | PRODUCER_ONLY)
    assert not CONSUMER_ONLY & PRODUCER_ONLY
    for alias, name in ALIASES.items():
        assert (alias in CONSUMER_ONLY, alias in PRODUCER_ONLY) == (name in CONSUMER_ONLY, name in PRODUCER_ONLY)


@given(names=st.sets(st.sampled_from(sorted(CONSUMER_ONLY | PRODUCER_ONLY | {"ssl.ca.location", "debug"}))))
def test_whatever_is_set_the_guarantee_stays(names: set[str]) -> None:
    """No allowed property changes what cannot be changed."""
    settings = Settings(kafka=Kafka(client=dict.fromkeys(names, "1")))
    consumer, producer = kafka.consumer_properties(settings), kafka.transactional_properties(settings)
    assert kafka.CONSUMER_FIXED.items() <= consumer.items()
    assert {**kafka.PRODUCER_FIXED, "transactional.id": settings.transactional_id}.items() <= producer.items()


def test_a_broker_that_is_not_there_is_named(unused_port: int) -> None:
    """Exit code 3 when the time is up, with the address and why."""
    address = f"127.0.0.1:{unused_port}"
    admin = kafka.admin(Settings(kafka=Kafka(bootstrap_servers=address)))
    with pytest.raises(KafkaUnavailableError, match=rf"cannot be reached at {address}: no answer .*refused"):
        kafka.wait_for_broker(admin, timeout_s=0.3)


def test_one_silent_broker_of_several_is_not_asked_for_ever() -> None:
    """The client hears of the others by their metadata."""
    silent, answered = Future[Any](), Future[Any]()
    silent.set_exception(KafkaException(KafkaError(KafkaError._TIMED_OUT)))
    answered.set_result(None)
    cluster = Mock(spec=kafka.Admin, bootstrap_servers="", last_error=None)
    cluster.describe_cluster.side_effect = lambda **_: answered if cluster.list_topics.called else silent
    kafka.wait_for_broker(cluster, timeout_s=0.3)


def test_refused_credentials_are_not_waited_for() -> None:
    """Authentication that failed ends the wait at once."""
    admin = kafka.admin(Settings())
    admin._errors(KafkaError(KafkaError._AUTHENTICATION, "SASL: wrong password"))
    with pytest.raises(KafkaUnavailableError, match="does not let us in: SASL: wrong password"):
        kafka._give_up_if_refused(admin, KafkaError(KafkaError._TIMED_OUT))


def test_the_reason_is_kept_not_its_consequence() -> None:
    """'All brokers down' follows the error that tells why, and does not hide it."""
    admin = kafka.admin(Settings())
    refused = KafkaError(KafkaError._TRANSPORT, "connection refused")
    for error in (refused, KafkaError(KafkaError._ALL_BROKERS_DOWN)):
        admin._errors(error)
    assert admin.last_error is refused


def test_an_admin_client_that_nobody_has_is_gone() -> None:
    """Its threads and sockets wait for no garbage collector, which comes seldom."""
    gc.disable()
    try:
        admin = kafka.admin(Settings())
        gone = weakref.ref(admin)
        del admin
        assert gone() is None
    finally:
        gc.enable()
