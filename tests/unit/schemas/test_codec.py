"""Frames: which bytes are a record, whose, and what is said about the others."""

from __future__ import annotations

import json

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from schemas import released
from schemas.codec import SCHEMA_ID_MAX, Codec, UndecodableError, UnknownSchemaError, UnwritableError, lead_event_codec
from schemas.errors import RegistryUnavailableError, UnresolvableError
from schemas.registry import Registry
from tests.unit.schemas.data import EVENT, changed, data_of, field, written_by_fastavro

V = released.text("lead_event")
DATUM = written_by_fastavro(V, EVENT)
HEAD = b"\xc3\x01" + released.current("lead_event").fingerprint
CODECS = {name: Codec(name) for name in released.NAMES}


class FakeRegistry(Registry):
    """Schemas by id from a dict; counts the questions."""

    def __init__(self, schemas: dict[int, str] | None = None, fault: Exception | None = None) -> None:
        self.schemas, self.fault, self.questions = schemas or {}, fault, 0

    def schema_by_id(self, schema_id: int) -> str:
        self.questions += 1
        if self.fault:
            raise self.fault
        if schema_id not in self.schemas:
            raise UnknownSchemaError("unknown")
        return self.schemas[schema_id]

    def register(self, subject: str, schema: str) -> int:
        self.questions += 1
        assert (subject, schema) == ("t-value", V)
        return 258


def test_without_a_registry_a_value_is_a_single_object() -> None:
    """C3 01, the fingerprint, and the datum as another Avro implementation writes it."""
    assert lead_event_codec().encode(EVENT) == HEAD + DATUM


def test_with_a_registry_a_value_is_in_confluents_format() -> None:
    """00, the schema's id in big-endian order, the datum."""
    assert lead_event_codec("t-value", FakeRegistry()).encode(EVENT) == b"\x00\x00\x00\x01\x02" + DATUM


def test_a_schema_is_registered_once() -> None:
    """Writing asks the registry at the first value only, or at start."""
    registry = FakeRegistry()
    codec = lead_event_codec("t-value", registry)
    codec.register()
    codec.encode(EVENT)
    codec.encode(EVENT)
    assert registry.questions == 1


def test_reading_registers_nothing() -> None:
    """A reader of events needs no right to write their schema."""
    registry = FakeRegistry()
    lead_event_codec("t-value", registry).decode(HEAD + DATUM)
    assert registry.questions == 0


@pytest.mark.parametrize("name", released.NAMES)
@given(data=st.data())
def test_what_is_written_is_read(name: str, data: st.DataObject) -> None:
    """Every datum of a schema comes back as it was, bit by bit (a NaN differs from itself, its bytes do not)."""
    datum = data.draw(data_of(released.current(name)))
    value = CODECS[name].encode(datum)
    back = CODECS[name].decode(value)
    assert CODECS[name].encode(back) == value
    assert json.dumps(back, sort_keys=True) == json.dumps(datum, sort_keys=True)


def test_a_writer_may_use_either_framing_at_any_time() -> None:
    """While producers move to a registry both framings arrive, whichever the scorer writes."""
    codec = lead_event_codec("t-value", FakeRegistry({7: V}))
    assert codec.decode(HEAD + DATUM) == codec.decode(b"\x00\x00\x00\x00\x07" + DATUM) == EVENT


def test_the_registry_is_asked_once_for_an_id() -> None:
    """The reader of a writer's schema is made once."""
    registry = FakeRegistry({7: V})
    codec = lead_event_codec(registry=registry)
    for _ in range(3):
        codec.decode(b"\x00\x00\x00\x00\x07" + DATUM)
    assert registry.questions == 1


@pytest.mark.parametrize("value", [None, b"", HEAD[:1], HEAD[:2], HEAD[:9], b"\x00", b"\x00\x00\x00\x00"])
def test_a_value_without_a_whole_frame_is_undecodable(value: bytes | None) -> None:
    """No schema is named, so none can be unknown."""
    with pytest.raises(UndecodableError):
        lead_event_codec().decode(value)


@pytest.mark.parametrize("value", [b'{"event_id": "1"}', DATUM, b"\xc3\x02" + HEAD[2:] + DATUM, b"\x01" * 20])
def test_a_value_in_no_framing_of_ours_is_undecodable(value: bytes) -> None:
    """JSON, bare Avro and other magic bytes are no unknown schema: waiting for one would not help."""
    with pytest.raises(UndecodableError, match="begins neither"):
        lead_event_codec().decode(value)


def test_an_unknown_fingerprint_is_an_unknown_schema() -> None:
    """A newer producer's record can be replayed once the scorer knows its schema."""
    with pytest.raises(UnknownSchemaError, match="0102030405060708"):
        lead_event_codec().decode(b"\xc3\x01\x01\x02\x03\x04\x05\x06\x07\x08" + DATUM)


def test_a_schema_id_without_a_registry_is_an_unknown_schema() -> None:
    """It can be replayed once a registry is configured."""
    with pytest.raises(UnknownSchemaError, match="no registry"):
        lead_event_codec().decode(b"\x00\x00\x00\x00\x07" + DATUM)


def test_an_id_that_the_registry_does_not_know_is_asked_for_again() -> None:
    """The codec keeps no memory of unknown ids (the registry client does, for seconds)."""
    registry = FakeRegistry()
    codec = lead_event_codec(registry=registry)
    with pytest.raises(UnknownSchemaError):
        codec.decode(b"\x00\x00\x00\x00\x07" + DATUM)
    registry.schemas[7] = V
    assert codec.decode(b"\x00\x00\x00\x00\x07" + DATUM) == EVENT


def test_a_registry_without_an_answer_is_not_the_records_fault() -> None:
    """The loop must be able to tell it from a bad record, and the record decodes once the registry answers."""
    registry = FakeRegistry({7: V}, RegistryUnavailableError("gone"))
    codec = lead_event_codec(registry=registry)
    with pytest.raises(RegistryUnavailableError):
        codec.decode(b"\x00\x00\x00\x00\x07" + DATUM)
    registry.fault = None
    assert codec.decode(b"\x00\x00\x00\x00\x07" + DATUM) == EVENT


@pytest.mark.parametrize("name", ["decision", "lead_profile"])
def test_a_record_of_another_kind_is_undecodable(name: str) -> None:
    """Its schema is known, and is not that of a lead event."""
    value = b"\xc3\x01" + released.current(name).fingerprint + DATUM
    with pytest.raises(UndecodableError, match="is not LeadEvent"):
        lead_event_codec().decode(value)


@pytest.mark.parametrize("schema", ['"string"', "no schema", '{"type": "record", "name": "LeadEvent", "fields": []}'])
def test_a_schema_that_does_not_resolve_makes_its_records_undecodable(schema: str) -> None:
    """Every one of them, with one question to the registry."""
    registry = FakeRegistry({7: schema})
    codec = lead_event_codec(registry=registry)
    for _ in range(2):
        with pytest.raises(UndecodableError, match="does not resolve"):
            codec.decode(b"\x00\x00\x00\x00\x07" + DATUM)
    assert registry.questions == 1


@pytest.mark.parametrize("unit", ["timestamp-micros", "local-timestamp-millis"])
def test_a_time_of_another_unit_is_undecodable_in_a_union_too(unit: str) -> None:
    """The fingerprint is that of our own schema, which leaves units out; microseconds would pass for milliseconds."""
    schema = changed("lead_event", lambda s: field(s, "created_at")["type"][1].update(logicalType=unit))
    codec = lead_event_codec(registry=FakeRegistry({7: schema}))
    with pytest.raises(UndecodableError, match=f"created_at: {unit} is not timestamp-millis"):
        codec.decode(b"\x00\x00\x00\x00\x07" + written_by_fastavro(V, {**EVENT, "created_at": 94_608_000_000_000}))
    assert codec.decode(b"\x00\x00\x00\x00\x07" + written_by_fastavro(V, {**EVENT, "created_at": None}))


def test_a_schema_that_is_not_avro_makes_its_records_undecodable() -> None:
    """The registry's client says so by an error that is one of the codec's."""
    with pytest.raises(UndecodableError):
        lead_event_codec(registry=FakeRegistry(fault=UnresolvableError("Protobuf"))).decode(b"\x00" * 5 + DATUM)


def test_a_text_at_the_end_is_not_cut_short() -> None:
    """The last field of a writer may be a text, and the value may break off inside it."""
    schema = changed("lead_event", lambda s: s["fields"].append(s["fields"].pop(0)))
    value = b"\x00\x00\x00\x00\x07" + written_by_fastavro(schema, EVENT)
    codec = lead_event_codec(registry=FakeRegistry({7: schema}))
    assert codec.decode(value) == EVENT
    with pytest.raises(UndecodableError, match="ends too early"):
        codec.decode(value[:-1])


def test_nesting_has_an_end() -> None:
    """A value that nests deeper than Python's stack is a bad record with a short message, not a dead process."""
    node = {"type": "record", "name": "Node", "fields": [{"name": "next", "type": ["null", "Node"]}]}
    schema = changed("lead_event", lambda s: s["fields"].append({"name": "chain", "type": node}))
    with pytest.raises(UndecodableError) as caught:
        lead_event_codec(registry=FakeRegistry({7: schema})).decode(b"\x00\x00\x00\x00\x07" + DATUM + b"\x02" * 10**5)
    assert len(str(caught.value)) < 300


def test_no_message_quotes_the_value() -> None:
    """A dead letter's headers carry the message, and other people read them."""
    schema = changed("lead_event", lambda s: s["fields"].append({"name": "mark", "type": "boolean"}))
    codec = lead_event_codec(registry=FakeRegistry({7: schema}))
    secret = written_by_fastavro(V, {**EVENT, "email": "someone@example.com"})
    for bad in (HEAD + secret + b"x", HEAD + secret[:-3], b"\x00\x00\x00\x00\x07" + secret + b"\x02"):
        with pytest.raises(UndecodableError) as caught:
            codec.decode(bad)
        assert "someone" not in str(caught.value)
        assert caught.value.__cause__ is None


def test_a_codec_for_writing_needs_a_subject() -> None:
    """A schema registered under no topic's name is a mistake at start."""
    with pytest.raises(ValueError, match="<topic>-value"):
        lead_event_codec(registry=Registry("mock://")).register()


def test_a_datum_of_another_kind_is_refused() -> None:
    """A codec writes only what it reads."""
    with pytest.raises(UnwritableError, match="email: a value of type int"):
        lead_event_codec().encode({**EVENT, "email": 3})


@pytest.mark.parametrize(
    ("name", "avsc"),
    [pytest.param(n, text, id=f"{n}.v{v}") for n in released.NAMES for v, text in released.history(n).items()],
)
@given(data=st.data())
def test_every_released_version_is_read(name: str, avsc: str, data: st.DataObject) -> None:
    """Records of any version, written by another implementation under its fingerprint, are still read."""
    schema = released.parse(avsc)
    datum = written_by_fastavro(avsc, data.draw(data_of(schema)))
    back = CODECS[name].decode(b"\xc3\x01" + schema.fingerprint + datum)
    assert back.keys() == {field["name"] for field in released.current(name).root["fields"]}


@given(st.binary(max_size=200))
@example(b"")
def test_random_bytes_raise_one_of_two_errors(value: bytes) -> None:
    """Whatever arrives, the loop has a dead letter's reason for it."""
    for codec in CODECS.values():
        with pytest.raises((UndecodableError, UnknownSchemaError)):
            codec.decode(value)


@pytest.mark.parametrize("schema_id", [SCHEMA_ID_MAX + 1, 2**32 - 1])
def test_an_id_that_no_registry_gives_is_unknown(schema_id: int) -> None:
    """A registry refuses the question as it does a wrong address: to wait for another answer would be for ever."""
    registry = FakeRegistry()
    with pytest.raises(UnknownSchemaError, match=str(schema_id)):
        lead_event_codec("t-value", registry).decode(b"\0" + schema_id.to_bytes(4) + DATUM)
    assert registry.questions == 0
