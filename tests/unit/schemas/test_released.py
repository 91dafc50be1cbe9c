"""The schemas: what contract 4 lists, and their identity on the wire."""

from __future__ import annotations

import json

import pytest

from schemas import released
from schemas.errors import UnresolvableError

FIELDS = {
    "lead_event": "event_id lead_id event_type occurred_at source page_url email company_headcount created_at",
    "decision": "decision_id lead_id event_id event_type occurred_at decided_at score decision confidence scored_by "
    "model_version policy_version rule_score fallback_reason action_published features reasons latency_ms "
    "source_topic source_partition source_offset",
    "lead_profile": "lead_id group_id page_visits email_opens demo_requests company_headcount created_at contactable "
    "last_activity_at last_action last_action_band last_action_at recent_event_ids last_offset last_seen_at",
}
LEAD_EVENT = (  # the canonical form by hand, after the specification
    '{"name":"lead.LeadEvent","type":"record","fields":[{"name":"event_id","type":"string"},'
    '{"name":"lead_id","type":"string"},{"name":"event_type","type":{"name":"lead.EventType","type":"enum",'
    '"symbols":["PAGE_VISIT","EMAIL_OPEN","DEMO_REQUEST","PROFILE_UPDATE","OTHER"]}},'
    '{"name":"occurred_at","type":"long"},{"name":"source","type":"string"},'
    '{"name":"page_url","type":["null","string"]},{"name":"email","type":["null","string"]},'
    '{"name":"company_headcount","type":["null","int"]},{"name":"created_at","type":["null","long"]}]}'
)
EMPTY = 0xC15D213AA4D7A795


def crc_64_avro(text: str) -> int:
    """The fingerprint as the specification's pseudocode gives it, bit by bit."""
    fingerprint = EMPTY
    for byte in text.encode():
        fingerprint ^= byte
        for _ in range(8):
            fingerprint = (fingerprint >> 1) ^ (EMPTY if fingerprint & 1 else 0)
    return fingerprint


def test_the_specifications_own_value() -> None:
    """The pseudocode below gives Java's fingerprint of `"int"`, so it can judge ours."""
    assert crc_64_avro('"int"') == 0x7275D51A3F395C8F


def test_the_fingerprint_is_that_of_the_canonical_form() -> None:
    """A producer in any language finds the same fingerprint, and writes it little-endian."""
    assert released.current("lead_event").fingerprint == crc_64_avro(LEAD_EVENT).to_bytes(8, "little")


def test_the_fingerprints_shown_are_the_bytes_in_a_frame() -> None:
    """What `config show` prints can be found in a hex dump of a record."""
    assert released.fingerprints()["lead_event"] == crc_64_avro(LEAD_EVENT).to_bytes(8, "little").hex()


@pytest.mark.parametrize("name", released.NAMES)
def test_fields_are_those_of_the_contract_in_its_order(name: str) -> None:
    """The order of the fields is part of the contract: it is that of the bytes."""
    assert [field["name"] for field in released.current(name).root["fields"]] == FIELDS[name].split()


@pytest.mark.parametrize("name", released.NAMES)
def test_a_nullable_field_is_null_by_default(name: str) -> None:
    """Writers in other languages may leave out what they do not know."""
    nullable = [field for field in released.current(name).root["fields"] if isinstance(field["type"], list)]
    assert nullable
    assert all(field["type"][0] == "null" and field["default"] is None for field in nullable)


def test_what_the_canonical_form_leaves_out_does_not_change_the_fingerprint() -> None:
    """Documentation, defaults and logical types do not make another schema."""
    assert released.parse(LEAD_EVENT).fingerprint == released.current("lead_event").fingerprint


@pytest.mark.parametrize("name", released.NAMES)
def test_versions_count_from_one_without_a_gap(name: str) -> None:
    """A missing file would be a version whose records nobody can read."""
    versions = list(released.history(name))
    assert versions == list(range(1, len(versions) + 1))


@pytest.mark.parametrize("name", released.NAMES)
def test_every_version_is_known_by_its_fingerprint(name: str) -> None:
    """Released and current schemas are found without a registry."""
    texts = [*released.history(name).values(), released.text(name)]
    assert {released.parse(text).fingerprint for text in texts} <= set(released.by_fingerprint())


@pytest.mark.parametrize("text", ["", "{", "3", "null", '"no.such.Type"', '{"type": "record", "name": "R"}x'])
def test_a_foreign_text_that_is_no_schema_is_unresolvable(text: str) -> None:
    """Whatever a registry gives, the answer is one of the codec's errors."""
    with pytest.raises(UnresolvableError):
        released.parse_foreign(text)


def test_a_foreign_default_is_not_judged() -> None:
    """Java lets 0 pass as the default of a double, and resolution never uses a writer's default."""
    text = json.dumps(
        {"type": "record", "name": "R", "fields": [{"name": "x", "type": "double", "default": "nonsense"}]}
    )
    assert released.parse_foreign(text).root["name"] == "R"
