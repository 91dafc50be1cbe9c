"""Records to bytes and back: one codec per record type and topic."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from schemas import reading, released
from schemas.compiled_reading import compiled_reader
from schemas.compiled_writing import UNSURE, compiled_writer
from schemas.errors import (
    RegistryRefusedError,
    RegistryUnavailableError,
    UndecodableError,
    UnknownSchemaError,
    UnresolvableError,
    UnwritableError,
)
from schemas.reading import Read
from schemas.released import fingerprints
from schemas.resolution import is_same, reader_of
from schemas.writing import writer_of

if TYPE_CHECKING:  # the registry's HTTP client takes 0.1 s to import, numpy as long; most commands need neither
    from schemas.columns import Columns, ColumnWriter
    from schemas.registry import Registry

__all__ = [
    "Codec",
    "RegistryRefusedError",
    "RegistryUnavailableError",
    "UndecodableError",
    "UnknownSchemaError",
    "UnwritableError",
    "decision_codec",
    "fingerprints",
    "lead_event_codec",
    "lead_profile_codec",
]

_SINGLE_OBJECT: Final = b"\xc3\x01"  # then 8 bytes of fingerprint: Avro's specification, single-object encoding
_SINGLE_OBJECT_HEAD: Final = 10
_CONFLUENT: Final = 0x00  # then 4 bytes of schema id, big-endian: Confluent's wire format
_CONFLUENT_HEAD: Final = 5
SCHEMA_ID_MAX: Final = 2**31 - 1


class Codec:
    """One record type on one topic.

    A time is an integer of milliseconds since 1970 (year 1 to 9999), an enum a string. Both framings are read at any
    time; with a registry the Confluent one is written, without one Avro's single-object encoding.

    Args:
        schema_name: One of `released.NAMES`.
        subject: Under which the schema is registered, `<topic>-value`; needed to write with a registry.
        registry: Gives and takes schemas by id.

    Attributes:
        fingerprint: Of the current schema, 8 bytes as they stand in a frame.
    """

    def __init__(self, schema_name: str, *, subject: str = "", registry: Registry | None = None) -> None:
        self._name, self._subject, self._registry = schema_name, subject, registry
        self._schema = released.current(schema_name)
        self._write, self._write_fast = writer_of(self._schema), compiled_writer(self._schema)
        self._columns: ColumnWriter | None = None
        self._readers: dict[bytes, Read] = {}  # by the head of a frame; only heads of known schemas get in
        self._head = b""
        self.fingerprint = self._schema.fingerprint

    def decode(self, value: bytes | None) -> dict[str, Any]:
        """The record that the bytes hold, resolved to the current schema.

        Raises:
            UndecodableError: They hold none: a dead letter.
            UnknownSchemaError: The writer's schema is not known: a dead letter.
            RegistryUnavailableError: Not the record's fault: wait, then decode it again.
        """
        if not value:
            raise UndecodableError("null" if value is None else "empty")
        size = _CONFLUENT_HEAD if value[0] == _CONFLUENT else _SINGLE_OBJECT_HEAD
        read = self._readers.get(value[:size]) or self._reader(value[:size])
        datum: dict[str, Any]  # the current schema is a record
        try:
            datum, end = read(value, size)
        except reading.FAULTS as fault:
            raise UndecodableError(reading.describe(fault)) from None
        if end != len(value):
            raise UndecodableError("ends too early" if end > len(value) else "bytes left over after the datum")
        return datum

    def encode(self, datum: Mapping[str, Any]) -> bytes:
        """The bytes of a record: every field of the current schema, and no other.

        Raises:
            UnwritableError: The datum is not of the schema; says which field.
            RegistryUnavailableError: At the first call, unless `register` was called.
            RegistryRefusedError: Likewise.
        """
        head = self._head or self.register()
        try:
            return self._write_fast(head, datum)
        except UNSURE:  # wrong, or unusual: said or written here
            out = bytearray(head)
            self._write(out, datum)
            return bytes(out)

    def encode_columns(self, columns: Columns) -> list[bytes]:
        """The bytes of many records, given by field instead of by record: `schemas.columns` has the kinds of columns.

        Args:
            columns: Every field of the current schema, and no other; at least one that is not `Same`.

        Raises:
            UnwritableError: As `encode`, of the first record that is not of the schema.
            ValueError: Columns of different lengths.
        """
        head = self._head or self.register()
        if self._columns is None:
            from schemas.columns import ColumnWriter  # numpy: only where it is used

            self._columns = ColumnWriter(self._schema)
        try:
            return self._columns.write(head, columns)
        except UNSURE:
            return [self.encode(row) for row in self._columns.rows(columns)]

    def register(self) -> bytes:
        """Registers the schema, if there is a registry; call it at start, so that faults show there.

        Returns:
            What every value that is written begins with.

        Raises:
            RegistryUnavailableError: The registry gives no answer: try again.
            RegistryRefusedError: It will not take the schema: do not start.
        """
        if self._registry is None:
            self._head = _SINGLE_OBJECT + self.fingerprint
        else:
            schema_id = self._registry.register(self._subject, released.text(self._name))
            self._head = bytes([_CONFLUENT]) + schema_id.to_bytes(4)
        return self._head

    def _reader(self, head: bytes) -> Read:
        """The reader for a head that was not seen before."""
        try:
            writer = self._by_id(head) if head[0] == _CONFLUENT else _by_fingerprint(head)
            read = reader_of(writer, self._schema)
            if is_same(writer, self._schema):
                read = compiled_reader(self._schema, read)
        except UnresolvableError as error:
            read = reading.refusal(f"the writer's schema does not resolve to {self._name}: {error}")
        self._readers[head] = read
        return read

    def _by_id(self, head: bytes) -> released.Schema:
        if len(head) < _CONFLUENT_HEAD:
            raise UndecodableError("ends before the schema's id")
        if self._registry is None:
            raise UnknownSchemaError("a schema id, and no registry is configured (schema_registry.url)")
        schema_id = int.from_bytes(head[1:])
        if schema_id > SCHEMA_ID_MAX:  # of such a question a registry does not say that it does not know the answer
            raise UnknownSchemaError(f"schema id {schema_id}: registries count to {SCHEMA_ID_MAX}")
        return released.parse_foreign(self._registry.schema_by_id(schema_id))


def _by_fingerprint(head: bytes) -> released.Schema:
    if not head.startswith(_SINGLE_OBJECT):
        # No framing of ours, so no schema is named that could be unknown: text, JSON, or Avro without a frame.
        raise UndecodableError("begins neither with C3 01 nor with 00")
    if len(head) < _SINGLE_OBJECT_HEAD:
        raise UndecodableError("ends before the schema's fingerprint does")
    fingerprint = head[len(_SINGLE_OBJECT) :]
    try:
        return released.by_fingerprint()[fingerprint]
    except KeyError:
        raise UnknownSchemaError(f"no released schema has the fingerprint {fingerprint.hex()}") from None


def lead_event_codec(subject: str = "", registry: Registry | None = None) -> Codec:
    """The codec of `lead.events`."""
    return Codec("lead_event", subject=subject, registry=registry)


def decision_codec(subject: str = "", registry: Registry | None = None) -> Codec:
    """The codec of `lead.decisions` and the action topics, which carry the same bytes."""
    return Codec("decision", subject=subject, registry=registry)


def lead_profile_codec(subject: str = "", registry: Registry | None = None) -> Codec:
    """The codec of `lead.profiles`."""
    return Codec("lead_profile", subject=subject, registry=registry)
