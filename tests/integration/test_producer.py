"""Lead events on a real broker: partitions, values, and what the commands write."""

import os
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Message

from producer import DeliveryError, LeadEventProducer, ProducerSettings
from producer.errors import DeliveryFailure
from producer.simulation import Parameters, Simulation
from producer.simulation.faults import IN_A_FIELD
from runtime.broker import Broker
from runtime.errors import KafkaUnavailableError
from schemas.codec import UndecodableError, UnknownSchemaError, lead_event_codec
from schemas.registry import Registry
from scoring.gates import gate
from tests.kafka import Namespace, read

REES46 = Path(__file__).parents[3] / "shared" / "data" / "rees46_2019-10-01_slice.csv"
EXAMPLE = Path(__file__).parents[2] / "examples" / "rees46-mapping.toml"

PARTITIONS = 7

# Kafka's own test vectors (UtilsTest.testMurmur2): the hash that Java's default partitioner takes of a key.
MURMUR2 = {
    "21": -973932308,
    "foobar": -790332482,
    "a-little-bit-long-string": -985981536,
    "a-little-bit-longer-string": -1486304829,
    "lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8": -58897971,
    "abc": 479470107,
}


def settings(namespace: Namespace, topic: str, **values: Any) -> ProducerSettings:
    return ProducerSettings(source="test", bootstrap_servers=namespace.bootstrap_servers, topic=topic, **values)


def command(namespace: Namespace, *arguments: object, **environ: str) -> "subprocess.CompletedProcess[str]":
    """Runs `lead-scorer produce` against the namespace's topics, with changes to the environment."""
    return subprocess.run(
        [Path(sys.executable).with_name("lead-scorer"), "produce", *map(str, arguments)],
        env={**os.environ, **namespace.environ(), **environ},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def key(record: Message) -> str:
    """The lead id in a record's key."""
    return (record.key() or b"").decode()


def reason(record: Message) -> str | None:
    """What the scorer makes of a record; None if it is accepted."""
    try:
        event: Any = lead_event_codec().decode(record.value())
    except UndecodableError:
        return "undecodable"
    except UnknownSchemaError:
        return "unknown_schema"
    return gate(event, record.key(), record.timestamp()[1])


def test_keys_go_to_the_partitions_of_javas_clients(namespace: Namespace) -> None:
    """State is per lead within a partition: a Java and a Python upstream must agree, by murmur2."""
    topic = namespace.create("events", partitions=PARTITIONS)
    with LeadEventProducer(settings(namespace, topic)) as events:
        for lead_id in MURMUR2:
            events.page_visit(lead_id=lead_id)
    found = {key(record): record.partition() for record in read(namespace.bootstrap_servers, topic, 6)}
    assert found == {lead_id: (hashed & 0x7FFFFFFF) % PARTITIONS for lead_id, hashed in MURMUR2.items()}


def test_events_come_out_as_they_went_in(namespace: Namespace) -> None:
    """Every field, in the order in which they were sent."""
    topic = namespace.create("events")
    told: list[tuple[str, DeliveryFailure | None]] = []
    producer = LeadEventProducer(
        settings(namespace, topic), on_delivery=lambda event_id, failure: told.append((event_id, failure))
    )
    with producer as events:
        ids = [events.profile_update(lead_id="42", email="jo@example.com", company_headcount=n) for n in range(50)]
    decoded = [lead_event_codec().decode(record.value()) for record in read(namespace.bootstrap_servers, topic, 50)]
    assert [(event["event_id"], event["company_headcount"]) for event in decoded] == list(
        zip(ids, range(50), strict=True)
    )
    assert told == [(event_id, None) for event_id in ids]


def test_a_record_that_the_broker_refuses_reaches_the_caller(namespace: Namespace) -> None:
    """Under its event id; the others are delivered."""
    topic = namespace.create("events", config={"max.message.bytes": "2000"})
    events = LeadEventProducer(settings(namespace, topic, client={"compression.type": "none", "linger.ms": 0}))
    events.page_visit(lead_id="42", event_id="large", page_url="x" * 3000)
    with pytest.raises(DeliveryError) as caught:
        events.flush()
    events.page_visit(lead_id="42", event_id="small")
    events.flush()
    assert [failure.event_id for failure in caught.value.failures] == ["large"]
    assert len(read(namespace.bootstrap_servers, topic, 1)) == 1


def test_what_cannot_be_delivered_in_time_is_named() -> None:
    """Nobody listens there: leaving the block gives up after the flush's time limit, and says which event."""
    nobody = ProducerSettings(source="test", bootstrap_servers="127.0.0.1:9", flush_timeout_s=0.5)
    with pytest.raises(DeliveryError, match="event e1 was not delivered"):  # noqa: SIM117
        with LeadEventProducer(nobody) as events:
            events.page_visit(lead_id="42", event_id="e1")


def test_simulated_records_arrive_good_and_malformed(namespace: Namespace) -> None:
    """As many of each sort as the simulation counts, with the dead-letter reasons that are meant."""
    topic = namespace.create("events", partitions=3, config={"message.timestamp.type": "LogAppendTime"})
    result = command(
        namespace,
        *("simulate", "--leads", 100, "--events", 2400, "--seed", 5),
        *("--duplicates", 0.05, "--malformed", 0.05, "--late", 0.05),
    )
    assert result.returncode == 0, result.stderr
    records = read(namespace.bootstrap_servers, topic, 2400)
    found = Counter(reason(record) for record in records)
    expected: dict[str | None, int] = {
        None: 2280,
        "undecodable": 30,  # garbage, truncated, empty
        "key_mismatch": 20,  # null and another
        "unknown_schema": 10,
        **dict.fromkeys(IN_A_FIELD, 10),
    }
    assert found == expected
    assert "2,160 events (120 late), 120 duplicates, 120 malformed" in result.stderr


def test_a_leads_records_keep_the_order_of_the_simulation(namespace: Namespace) -> None:
    """In its partition; from one run to the next the bytes are the same."""
    topic = namespace.create("events", partitions=3)
    assert command(namespace, "simulate", "--leads", 20, "--events", 500, "--seed", 6).returncode == 0
    sent: dict[str, list[bytes]] = {}
    for record in Simulation(Parameters(leads=20, events=500, seed=6)).records():
        sent.setdefault(record.event["lead_id"], []).append(lead_event_codec().encode(record.event))
    stored: dict[str, list[bytes]] = {}
    for message in read(namespace.bootstrap_servers, topic, 500):
        stored.setdefault(key(message), []).append(message.value() or b"")
    assert stored == sent


def test_the_same_simulation_fills_a_topic_the_same_twice(namespace: Namespace) -> None:
    """Every partition gets the same records in the same order, those without a key too."""
    topics: list[list[tuple[int | None, bytes | None, bytes | None]]] = []
    for what in ("first", "second"):
        topic = namespace.create(what, partitions=3)
        arguments = ("simulate", "--leads", 50, "--events", 1000, "--seed", 9, "--malformed", 0.2, "--duplicates", 0.1)
        assert command(namespace, *arguments, LEAD_SCORER__TOPICS__EVENTS=topic).returncode == 0
        records = read(namespace.bootstrap_servers, topic, 1000)
        records.sort(key=lambda record: (record.partition(), record.offset()))
        topics.append([(record.partition(), record.key(), record.value()) for record in records])
    assert topics[0] == topics[1]


@pytest.mark.skipif(not REES46.exists(), reason=f"the REES46 slice is not at {REES46}")
def test_the_rees46_slice_goes_through(namespace: Namespace) -> None:
    """Views and carts become events, purchases do not, and the last row, which is cut, is reported by its line."""
    topic = namespace.create("events", partitions=3)
    result = command(namespace, "file", REES46, "--mapping", EXAMPLE)
    assert result.returncode == 1
    assert "line 17436: has 8 fields, the header has 9" in result.stderr
    assert "214 skipped (purchase 214), 1 rejected" in result.stderr
    records = read(namespace.bootstrap_servers, topic, 17_220)
    types = Counter(lead_event_codec().decode(record.value())["event_type"] for record in records)
    assert types == {"PAGE_VISIT": 17_055, "DEMO_REQUEST": 165}


def test_a_missing_topic_names_the_command_that_creates_it(namespace: Namespace) -> None:
    """Exit code 2, and nothing is created by accident."""
    result = command(namespace, "simulate", "--events", 1)
    assert result.returncode == 2
    assert namespace.name("events") in result.stderr
    assert "lead-scorer topics create" in result.stderr


def test_values_carry_the_id_of_the_registered_schema(namespace: Namespace, registry: Any) -> None:
    """With a registry: the Confluent framing, readable by whoever asks the registry."""
    topic = namespace.create("events")
    with LeadEventProducer(settings(namespace, topic, registry_url=registry.url)) as events:
        events.page_visit(lead_id="42")
    (record,) = read(namespace.bootstrap_servers, topic, 1)
    assert (record.value() or b"")[:1] == b"\x00"
    with Registry(registry.url) as schemas:
        assert lead_event_codec(registry=schemas).decode(record.value())["lead_id"] == "42"


def test_a_registry_that_does_not_answer_ends_the_start(kafka: Broker) -> None:
    """Before the first event is taken, with its address."""
    nobody = ProducerSettings(
        source="test", bootstrap_servers=kafka.bootstrap_servers, registry_url="http://127.0.0.1:9"
    )
    with pytest.raises(KafkaUnavailableError, match=r"127\.0\.0\.1:9"):
        LeadEventProducer(nobody)
