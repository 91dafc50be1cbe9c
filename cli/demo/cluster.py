"""Kafka for a demo: a broker, and topics that are gone afterwards."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import replace

from confluent_kafka import KafkaException

from runtime import kafka, topics
from runtime.broker import Broker, start_or_find
from runtime.config import Settings
from runtime.errors import KafkaUnavailableError
from runtime.unavailable import UnavailableError

DELETION_S = 15.0


@contextmanager
def started_broker(environ: Mapping[str, str]) -> Iterator[Broker]:
    """A broker by the ladder of contract 1.2, stopped at the end.

    Raises:
        KafkaUnavailableError: None can be had; the message says why.
    """
    with ExitStack() as stack:
        try:
            broker = stack.enter_context(start_or_find(environ))
        except UnavailableError as error:
            raise KafkaUnavailableError(f"{error}. Give one: --bootstrap-servers HOST:PORT") from error
        yield broker


@contextmanager
def demo_topics(settings: Settings, decisions: tuple[str, ...], *, keep: bool) -> Iterator[str]:
    """Creates the demo's topics, and deletes them and its group at the end; gives the name of one for a warm-up.

    Raises:
        KafkaUnavailableError: No broker answers, or none lets us in.
        ConfigurationError: The topics cannot be created.
    """
    admin = kafka.admin(settings)
    kafka.wait_for_broker(admin)
    specs = topics.topic_specs(settings, decisions)
    warm_up = replace(specs[-1], name=f"{settings.kafka.group_id}.warm-up")
    names = [*(spec.name for spec in specs), warm_up.name]
    try:
        topics.create_topics(admin, [*specs, warm_up])
        yield warm_up.name
    finally:
        if not keep:
            _delete(admin, names, settings.kafka.group_id)


def _delete(admin: kafka.Admin, names: list[str], group: str) -> None:
    """What is not there need not be deleted, and a broker that is gone has nothing any more."""
    futures = {
        **admin.delete_topics(names, operation_timeout=DELETION_S, request_timeout=DELETION_S),
        **admin.delete_consumer_groups([group], request_timeout=DELETION_S),
    }
    for future in futures.values():
        try:
            future.result(DELETION_S)
        except (KafkaException, TimeoutError):
            continue
