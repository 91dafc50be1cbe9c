"""Batches that the client cannot read: it tells so once, and goes on with what comes after."""

from __future__ import annotations

from confluent_kafka import KafkaError

DAMAGED = {KafkaError._BAD_MSG, KafkaError._BAD_COMPRESSION, KafkaError._NOT_IMPLEMENTED}
"""A wrong checksum, what cannot be unpacked, a format that the client does not know."""


def damaged(topic: str, partition: int | None, offset: int | None, error: KafkaError) -> str:
    """What to tell an operator, without the end of the sentence."""
    where = f"{topic}-{partition}: what is at offset {offset}"
    return f"{where} cannot be read: {error.str()}. The brokers' copy is damaged: mend it from a replica"
