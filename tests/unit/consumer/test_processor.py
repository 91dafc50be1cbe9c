"""Records to outputs: what each record becomes, whatever the batches, and that a bad one harms no other."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from consumer import processor as processing
from consumer.batch import Batch
from consumer.dead_letters import VALUE_DROPPED, Guard
from consumer.processor import SYSTEMATIC_RECORDS
from consumer.records import Output, Record
from runtime.errors import StateError
from schemas.codec import RegistryUnavailableError
from scoring.events import LeadEvent
from scoring.features import FEATURES
from scoring.fold import Folded, Memory, fold
from scoring.profile import Profile, from_record, pack
from scoring.scorer import RulesOnly
from tests import oracle
from tests.unit.consumer.bench import (
    DAY_MS,
    DEAD_LETTERS,
    DECISIONS,
    GROUP,
    PROFILES,
    VERSION,
    Bench,
    PerRow,
    action_topic,
    codec,
    decisions,
    event_record,
    letter_reasons,
    no_headers,
    on,
)
from tests.unit.consumer.fakes import START_MS, TOPIC, record
from tests.unit.scoring import strategies

SECRET = "someone@example.org"


class PoisonError(Exception):
    """What the planted bug raises; it quotes the payload, as bugs do."""


def poison(monkeypatch: pytest.MonkeyPatch, error: BaseException | None = None) -> None:
    """A bug of the scorer: it fails on the leads whose name says so, after it has changed their profile."""

    def failing(
        profile: Profile | None, event: LeadEvent, offset: int, append_ms: int, memory: Memory
    ) -> Folded | None:
        folded = fold(profile, event, offset, append_ms, memory)
        if "poison" in event["lead_id"]:
            raise error or PoisonError(f"cannot handle {event['email']}")
        return folded

    monkeypatch.setattr(processing, "fold", failing)


def always(score: float) -> Callable[[list[float]], float]:
    return lambda _: score


def undecodable(offset: int, *, partition: int = 0) -> Record:
    return record(offset, partition=partition, value=b"no avro")


# --- one record ---


def test_a_decision_says_all_that_the_contract_lists() -> None:
    """Every field of section 4, of a demo request that the model scores."""
    bench = Bench(PerRow(always(0.9)))
    bench.clock.sleep(0.25)
    visit = event_record(41, partition=1, event_type="DEMO_REQUEST", occurred_at=START_MS - 5)
    (decision,) = decisions(bench.prepared(visit))
    values = [2.0, math.exp(-999 / 21), 2.0, 999.0, -1.0]
    assert decision.pop("features") == pytest.approx(dict(zip(FEATURES, values, strict=True)))
    reasons = decision.pop("reasons")
    assert [reason["feature"] for reason in reasons] == list(FEATURES)
    assert decision == {
        "decision_id": f"{TOPIC}-1-41",
        "lead_id": "l",
        "event_id": "e-1-41",
        "event_type": "DEMO_REQUEST",
        "occurred_at": START_MS - 5,
        "decided_at": START_MS + 250,
        "score": 0.9,
        "decision": "contact_now",
        "confidence": "HIGH",
        "scored_by": "MODEL",
        "model_version": VERSION,
        "policy_version": bench.policy.version,
        "rule_score": 0.6,
        "fallback_reason": None,
        "action_published": True,
        "latency_ms": 250.0,
        "source_topic": TOPIC,
        "source_partition": 1,
        "source_offset": 41,
    }


def test_a_rules_decision_has_its_reason_and_no_model() -> None:
    """`model_version` and `reasons` are the model's alone, `fallback_reason` the rules' alone."""
    (decision,) = decisions(Bench(RulesOnly()).prepared(event_record(0)))
    assert (decision["scored_by"], decision["model_version"], decision["reasons"]) == ("RULES", None, [])
    assert (decision["fallback_reason"], decision["score"]) == ("no_model", decision["rule_score"])


def test_one_bad_score_is_one_rules_decision() -> None:
    """The rows around it are the model's."""
    bench = Bench(PerRow(lambda row: math.nan if row[0] == 1.0 else 0.5))
    batch = bench.prepared(*(event_record(n) for n in range(3)))
    assert [decision["fallback_reason"] for decision in decisions(batch)] == [None, "bad_score", None]
    assert [decision["model_version"] for decision in decisions(batch)] == [VERSION, None, VERSION]


def test_reasons_belong_to_their_own_row() -> None:
    """Of several rows only the published ones are explained, each with its own values."""
    bench = Bench(PerRow(lambda row: 0.9 if row[0] > 0.7 else 0.1))  # from the second visit on
    batch = bench.prepared(*(event_record(n) for n in range(4)))
    published = [decision["action_published"] for decision in decisions(batch)]
    assert published == [True, True, False, False]
    for decision in decisions(batch):
        values = {reason["feature"]: reason["value"] for reason in decision["reasons"]}
        assert values == (decision["features"] if decision["action_published"] else {})


def test_an_action_is_the_same_bytes_at_the_same_partition() -> None:
    """Key, value, partition and timestamp of the decision, on the topic of its decision; no headers."""
    batch = Bench(PerRow(always(0.9))).prepared(event_record(0, partition=1))
    (decision,) = on(DECISIONS, batch.outputs)
    assert batch.outputs == [decision, decision._replace(topic=action_topic("contact_now"))]
    assert (decision.partition, decision.key, decision.headers) == (1, b"l", None)
    assert decision.timestamp_ms == START_MS


def test_what_is_not_published_is_a_decision_only() -> None:
    """The same decision again within the week."""
    batch = Bench(PerRow(always(0.9))).prepared(event_record(0), event_record(1))
    assert [decision["action_published"] for decision in decisions(batch)] == [True, False]
    assert len(batch.outputs) == 3


def test_latency_is_never_negative() -> None:
    """A clock that is behind the broker's."""
    (decision,) = decisions(Bench().prepared(event_record(0, append_ms=START_MS + 5000)))
    assert decision["latency_ms"] == 0.0


def test_a_duplicate_gives_nothing_but_its_offset() -> None:
    """No output and no change, but it is counted and committed."""
    bench = Bench()
    bench.commit(bench.prepared(event_record(0, event_id="e")))
    batch = bench.prepared(event_record(1, event_id="e"))
    assert (batch.outputs, batch.profiles, batch.next_offsets) == ([], {}, {0: 2})
    assert batch.tally.results["duplicate"] == 1


@pytest.mark.parametrize(
    ("received", "stage", "reason", "exception"),
    [
        (record(value=b"no avro"), "decode", "undecodable", "UndecodableError"),
        (record(value=None), "decode", "undecodable", "UndecodableError"),
        (record(value=b"\xc3\x01" + bytes(9)), "decode", "unknown_schema", "UnknownSchemaError"),
        (record(value=b"\0\0\0\0\7"), "decode", "unknown_schema", "UnknownSchemaError"),
        (event_record(0)._replace(key=b"other"), "gate", "key_mismatch", "GateRejection"),
        (event_record(0, company_headcount=-1), "gate", "negative_headcount", "GateRejection"),
    ],
)
def test_a_bad_record_is_a_dead_letter_with_its_stage_and_reason(
    received: Record, stage: str, reason: str, exception: str
) -> None:
    """As received, to the partition that it came from; no state and no decision."""
    batch = Bench().prepared(received)
    (letter,) = batch.outputs
    told = {name.rpartition(".")[2]: (value or b"").decode() for name, value in letter.headers or []}
    assert (letter.topic, letter.key, letter.value) == (DEAD_LETTERS, received.key, received.value)
    assert (told["stage"], told["reason"], told["exception"]) == (stage, reason, exception)
    assert (batch.profiles, batch.next_offsets, batch.tally.dead_letters) == ({}, {0: 1}, {reason: 1})


def test_no_output_carries_an_address() -> None:
    """The e-mail address is read and forgotten: not in decision, action, profile, nor a refusal's headers."""
    bench = Bench(PerRow(always(0.9)))
    update = event_record(0, event_type="PROFILE_UPDATE", email=SECRET)
    refused = event_record(1, email=SECRET, company_headcount=-1)
    batch = bench.prepared(update, refused)
    assert batch.profile(0, "l") is not None
    for output in batch.outputs + bench.processor.changelog(batch):
        shown = [output.value or b""] if output.topic != DEAD_LETTERS else [v or b"" for _, v in output.headers or []]
        assert all(SECRET.encode() not in text for text in shown)


# --- the changelog ---


def test_the_changelog_has_one_record_for_each_changed_lead() -> None:
    """Its final profile in the batch, at the input's partition, in the group's name; all of it comes back."""
    bench = Bench()
    batch = bench.prepared(event_record(0, lead_id="ü"), event_record(1, lead_id="ü"), event_record(0, partition=1))
    outputs = bench.processor.changelog(batch)
    assert [(output.topic, output.partition, output.key) for output in outputs] == [
        (PROFILES, 0, "ü".encode()),
        (PROFILES, 1, b"l"),
    ]
    lead_id, group_id, profile = from_record(codec("profile").decode(outputs[0].value))
    assert (lead_id, group_id, profile) == ("ü", GROUP, batch.profile(0, "ü"))


def test_a_forgotten_lead_is_a_tombstone() -> None:
    """Also under a key that is no text, which a damaged changelog may hold."""
    bench = Bench()
    batch = bench.batch()
    batch.put(0, b"\xff".decode(errors="surrogateescape"), None)
    assert bench.processor.changelog(batch) == [Output(PROFILES, 0, b"\xff", None, START_MS)]


def test_the_changelog_leaves_out_what_did_not_change() -> None:
    """Dead letters and duplicates change no lead, and a batch on top does not repeat what is in flight."""
    bench = Bench()
    in_flight = bench.prepared(event_record(0, event_id="e"))
    batch = bench.batch(in_flight)
    bench.processor.prepare([event_record(1, event_id="e"), undecodable(2)], batch)
    assert bench.processor.changelog(batch) == []


def test_the_changelog_is_worked_out_once_for_what_is_in_the_batch() -> None:
    """Ahead of its time, as it may be: records and tombstones that come later are in it all the same."""
    bench = Bench()
    batch = bench.prepared(event_record(0, lead_id="a"))
    early = bench.processor.changelog(batch)
    assert bench.processor.changelog(batch) is early
    bench.processor.prepare([event_record(1, lead_id="b")], batch)
    assert [output.key for output in bench.processor.changelog(batch)] == [b"a", b"b"]
    batch.put(0, "c", None)
    assert [output.key for output in bench.processor.changelog(batch)] == [b"a", b"b", b"c"]


# --- counts ---


def test_a_batch_counts_what_it_gave() -> None:
    """Results, decisions by scorer, actions, fallbacks, dead letters, append times and model scores."""
    bench = Bench(PerRow(lambda row: math.nan if row[0] == 0.5 else 0.5))
    visits = [event_record(n, append_ms=START_MS + n) for n in range(3)]
    tally = bench.prepared(*visits, event_record(3, event_id="e-0-0"), undecodable(4)).tally
    assert tally.results == {"scored": 3, "duplicate": 1, "dead_letter": 1}
    assert tally.decisions == {("nurture", "RULES"): 1, ("nurture", "MODEL"): 2}
    assert tally.actions == {"nurture": 1}
    assert tally.fallbacks == {"bad_score": 1}
    assert tally.dead_letters == {"undecodable": 1}
    assert tally.scored_append_ms == [START_MS, START_MS + 1, START_MS + 2]
    assert tally.model_scores == [0.5, 0.5]


def test_a_batch_is_scored_in_one_call() -> None:
    """However many leads it has; and a batch without an accepted event asks no model."""
    scorer = PerRow(always(0.5))
    bench = Bench(scorer)
    bench.prepared(*(event_record(n, lead_id=f"l{n}") for n in range(5)))
    bench.prepared(undecodable(5))
    assert scorer.calls == [5]


def test_every_stage_is_told() -> None:
    """Those of section 9 that happen here; poll and commit are the loop's."""
    bench = Bench()
    bench.prepared(event_record(0))
    assert bench.stages.told == ["decode", "state", "inference", "publish"]


def test_the_stream_gates_see_what_was_accepted() -> None:
    """Updates as their lead is after them, the engagement of every event; duplicates and dead letters are not seen."""
    update = event_record(0, event_type="PROFILE_UPDATE", company_headcount=50)
    again, refused = event_record(1, event_type="PROFILE_UPDATE", event_id="e-0-0"), undecodable(2)
    visit, other_update = event_record(3), event_record(4, lead_id="b", event_type="PROFILE_UPDATE", email=SECRET)
    batch = Bench().prepared(update, again, refused, visit, other_update)
    # Engagement 0, 0.5 and 0, where the model was trained on a mean of 1.
    assert batch.gates.ratios() == pytest.approx((0.5, 0.5, 1.0, 1 - 0.5 / 3))


# --- any batches ---

WINDOW, RETENTION_DAYS = 3, 20  # what `strategies.records` makes sense with


def from_oracle(records: list[oracle.Record]) -> list[Record]:
    return [Record(0, made.offset, made.append_ms, made.key, _encoded(made.value), no_headers) for made in records]


def _encoded(value: Any) -> bytes:
    return b"no avro" if isinstance(value, str) else codec("event").encode(value)


def flaky(row: list[float]) -> float:
    """A model with scores in all bands, that has none for some rows."""
    return math.nan if row[3] == 1.0 else min(1.0, row[0] / 3)


def outcome_of(bench: Bench, slices: list[list[Record]], how: str) -> tuple[dict[str, list[Output]], Any, Any]:
    """All outputs by topic in order, the state in the end, and the gates; each slice prepared as `how` says.

    `one batch`: one after the other into the same batch; `commits`: each committed before the next; `on top`: each on
    top of the one before, which is committed only afterwards.
    """
    outputs: list[Output] = []
    batch = bench.batch()
    if how == "one batch":
        for part in slices:
            bench.processor.prepare(part, batch)
        outputs += batch.outputs
        bench.commit(batch)
    else:
        in_flight: Batch | None = None
        for part in slices:
            batch = bench.batch(in_flight)
            bench.processor.prepare(part, batch)
            outputs += batch.outputs
            if how == "commits":
                bench.commit(batch)
            else:
                if in_flight is not None:
                    bench.commit(in_flight)
                    batch.parent = None
                in_flight = batch
        if in_flight is not None:
            bench.commit(in_flight)
    topics = sorted({output.topic for output in outputs})
    leads = dict(bench.assignment.partitions[0].leads)
    return {topic: on(topic, outputs) for topic in topics}, leads, bench.gates.ratios()


@settings(max_examples=60)
@given(strategies.records(), st.data(), st.sampled_from(["one batch", "commits", "on top"]))
def test_slices_make_no_difference(made: list[oracle.Record], data: st.DataObject, how: str) -> None:
    """The same records give the same outputs byte for byte, the same profiles and gates, in any batches."""

    def bench() -> Bench:
        return Bench(PerRow(flaky), memory=Memory(WINDOW, RETENTION_DAYS * DAY_MS))

    records = from_oracle(made)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(records)), max_size=6)))
    slices = [records[a:b] for a, b in pairwise([0, *cuts, len(records)])]
    assert outcome_of(bench(), slices, how) == outcome_of(bench(), [records], "one batch")


@settings(max_examples=60)
@given(strategies.records())
def test_outcomes_are_the_contracts(made: list[oracle.Record]) -> None:
    """Each record becomes what a second, naive reading of sections 5 and 6 says."""
    bench = Bench(PerRow(flaky), memory=Memory(WINDOW, RETENTION_DAYS * DAY_MS))
    batch = bench.prepared(*from_oracle(made))
    by_offset = {decision["source_offset"]: decision for decision in decisions(batch)}

    def model(found: oracle.Features) -> float | None:
        score = flaky([found[name] for name in FEATURES])
        return None if math.isnan(score) else score

    policy = strategies.policy_data()
    expected = oracle.run(made, policy, dedup_window=WINDOW, retention_days=RETENTION_DAYS, model=model).outcomes
    assert by_offset.keys() == {offset for offset, outcome in expected.items() if outcome.kind == "scored"}
    assert letter_reasons(batch) == {o: out.reason for o, out in expected.items() if out.kind == "dead_letter"}
    for offset, decision in by_offset.items():
        outcome = expected[offset]
        assert decision["features"] == pytest.approx(outcome.features, rel=1e-12)
        for name in ("score", "rule_score", "scored_by", "decision", "confidence", "action_published"):
            assert decision[name] == getattr(outcome, name)


# --- the scorer's own failures ---


def test_a_record_on_which_the_scorer_fails_is_a_dead_letter(monkeypatch: pytest.MonkeyPatch) -> None:
    """`internal_error` at stage `process`, with the class of the exception and where it was raised."""
    poison(monkeypatch)
    batch = Bench().prepared(event_record(0), event_record(1, lead_id="poison"))
    (letter,) = on(DEAD_LETTERS, batch.outputs)
    told = {name.rpartition(".")[2]: (value or b"").decode() for name, value in letter.headers or []}
    assert (told["stage"], told["reason"], told["exception"]) == ("process", "internal_error", "PoisonError")
    assert "failing (line" in told["message"]


def test_the_message_does_not_quote_the_payload(monkeypatch: pytest.MonkeyPatch) -> None:
    """The exception's text does; it is not taken over."""
    poison(monkeypatch)
    (letter,) = on(DEAD_LETTERS, Bench().prepared(event_record(0, lead_id="poison", email=SECRET)).outputs)
    assert all(SECRET.encode() not in (value or b"") for _, value in letter.headers or [])


@pytest.mark.parametrize("at", [0, 2, 4])
def test_everything_else_is_as_if_it_had_not_been_there(monkeypatch: pytest.MonkeyPatch, at: int) -> None:
    """Outputs, profiles, gates and counts of the others; its own offset is committed."""
    others = [
        event_record(offset, lead_id=f"l{offset % 2}", event_type="PROFILE_UPDATE" if offset == 3 else "PAGE_VISIT")
        for offset in range(5)
        if offset != at
    ]
    alone = Bench().prepared(*others)
    poison(monkeypatch)
    records = sorted([*others, event_record(at, lead_id="poison")], key=lambda found: found.offset)
    batch = Bench().prepared(*records)
    assert on(DECISIONS, batch.outputs) == on(DECISIONS, alone.outputs)
    assert letter_reasons(batch) == {at: "internal_error"}
    assert (batch.profiles, batch.gates.ratios()) == (alone.profiles, alone.gates.ratios())
    assert batch.tally.decisions == alone.tally.decisions
    assert (batch.records, batch.next_offsets) == (records, {0: 5})


def test_a_failure_of_the_scoring_is_isolated_too() -> None:
    """After the fold and before any output: here the model's guard itself has a bug, for one lead's features."""

    def broken(row: list[float]) -> float:
        if row[4] == 3.0:
            raise PoisonError
        return 0.5

    updates = [
        event_record(n, lead_id=f"l{n}", event_type="PROFILE_UPDATE", company_headcount=size)
        for n, size in enumerate([10, 9999, 20])
    ]
    batch = Bench(PerRow(broken)).prepared(*updates)
    assert letter_reasons(batch) == {1: "internal_error"}
    assert [decision["lead_id"] for decision in decisions(batch)] == ["l0", "l2"]
    assert set(batch.profiles[0]) == {"l0", "l2"}


def test_a_poisoned_lead_keeps_the_state_that_it_had(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the failed attempts did to its profile is gone, in the state and in the batch below."""
    bench = Bench()
    bench.commit(bench.prepared(event_record(0, lead_id="poison"), event_record(1)))
    below = bench.batch()
    bench.processor.prepare([event_record(2)], below)
    before = below.profile(0, "poison")
    poison(monkeypatch)
    batch = bench.batch(below)
    bench.processor.prepare([event_record(3, lead_id="poison"), event_record(4)], batch)
    assert batch.profile(0, "poison") == below.profile(0, "poison") == before
    visited = batch.profile(0, "l")
    assert visited is not None
    assert visited.page_visits == 3


@pytest.mark.parametrize("n", [1, SYSTEMATIC_RECORDS - 1])
def test_few_that_all_fail_are_buried(monkeypatch: pytest.MonkeyPatch, n: int) -> None:
    """A poisoned record that comes alone must not stop the service."""
    poison(monkeypatch)
    batch = Bench().prepared(*(event_record(offset, lead_id=f"poison{offset}") for offset in range(n)))
    assert letter_reasons(batch) == dict.fromkeys(range(n), "internal_error")


def test_many_that_all_fail_are_the_scorers_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    """A bug that hits every record ends the process; nothing is added to the batch."""
    poison(monkeypatch)
    bench = Bench()
    batch = bench.batch()
    with pytest.raises(PoisonError):
        bench.processor.prepare([event_record(n, lead_id="poison") for n in range(SYSTEMATIC_RECORDS)], batch)
    assert (batch.empty, batch.outputs, batch.records, batch.profiles) == (True, [], [], {})


def test_one_good_record_among_many_that_fail(monkeypatch: pytest.MonkeyPatch) -> None:
    """As long as one goes through, it is the records' fault, up to the guard's limits."""
    poison(monkeypatch)
    records = [event_record(n, lead_id="poison") for n in range(SYSTEMATIC_RECORDS)]
    batch = Bench().prepared(*records, event_record(SYSTEMATIC_RECORDS))
    assert batch.tally.results == {"dead_letter": SYSTEMATIC_RECORDS, "scored": 1, "duplicate": 0}


def test_a_failure_that_does_not_come_again_ends_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """No record fails by itself: the error is nobody's, and going on would hide it."""
    bench = Bench()
    inner = bench.processor._fold
    calls: list[int] = []

    def failing_once(*arguments: Any) -> Any:
        calls.append(1)
        if len(calls) == 1:
            raise PoisonError
        return inner(*arguments)

    monkeypatch.setattr(bench.processor, "_fold", failing_once)
    with pytest.raises(PoisonError):
        bench.prepared(event_record(0), event_record(1))


def test_lack_of_memory_is_no_records_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    """It ends the process instead of burying whatever came at the time."""
    poison(monkeypatch, MemoryError())
    with pytest.raises(MemoryError):
        Bench().prepared(event_record(0, lead_id="poison"), event_record(1))


def test_lack_of_memory_while_isolating_is_no_records_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first failure is a bug, the second one is not."""
    errors: list[BaseException] = [PoisonError(), MemoryError()]

    def failing(*_: Any) -> Any:
        raise errors.pop(0)

    monkeypatch.setattr(processing, "fold", failing)
    with pytest.raises(MemoryError):
        Bench().prepared(event_record(0), event_record(1))


def test_a_registry_out_of_reach_leaves_the_batch_untouched(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is not the record's fault: the same call later succeeds as if nothing had been."""
    bench = Bench()
    decode = bench.processor._decode
    reachable = False

    def asking(value: bytes | None) -> dict[str, Any]:
        if not reachable and value == registered.value:
            raise RegistryUnavailableError("no answer")
        return decode(value)

    registered = event_record(1)
    monkeypatch.setattr(bench.processor, "_decode", asking)
    batch = bench.batch()
    bench.processor.prepare([event_record(0)], batch)
    for _ in range(2):
        with pytest.raises(RegistryUnavailableError):
            bench.processor.prepare([undecodable(7), registered], batch)
    assert (batch.next_offsets, len(batch.records), batch.tally.dead_letters) == ({0: 1}, 1, {})
    reachable = True
    bench.processor.prepare([registered], batch)
    assert batch.next_offsets == {0: 2}


def test_a_registry_out_of_reach_while_isolating(monkeypatch: pytest.MonkeyPatch) -> None:
    """It ends the isolation, too: what was found so far is found again later."""
    errors: list[Exception] = [PoisonError(), RegistryUnavailableError("no answer")]

    def failing(*_: Any) -> Any:
        raise errors.pop(0)

    monkeypatch.setattr(processing, "fold", failing)
    bench = Bench()
    batch = bench.batch()
    with pytest.raises(RegistryUnavailableError):
        bench.processor.prepare([event_record(0), event_record(1)], batch)
    assert batch.empty


@pytest.mark.parametrize("last_offset", [5, 6])
def test_an_event_at_or_below_its_leads_last_offset(last_offset: int) -> None:
    """State and input disagree: exit 5, with the place and the way on; a duplicate id is no excuse."""
    bench = Bench()
    bench.assignment.partitions[0].leads["l"] = pack(Profile(last_offset=last_offset, last_seen_at=START_MS))
    with pytest.raises(StateError, match=rf"{TOPIC}-0 gave offset 5 .*--rebuild-state") as caught:
        bench.prepared(event_record(5))
    assert caught.value.exit_code == 5


# --- the dead letter guard ---


def test_the_limit_ends_the_batch_before_the_record_that_passes_it() -> None:
    """What came before is prepared; neither it nor anything after it is."""
    bench = Bench(guard=Guard(2, 1.0))
    batch = bench.prepared(event_record(0), undecodable(1), undecodable(2), undecodable(3), event_record(4))
    assert batch.limit is not None
    assert (batch.next_offsets, len(batch.records), sorted(letter_reasons(batch))) == ({0: 3}, 3, [1, 2])


def test_the_limit_holds_while_isolating(monkeypatch: pytest.MonkeyPatch) -> None:
    """Internal errors and other dead letters are counted in the order of the records."""
    poison(monkeypatch)
    bench = Bench(guard=Guard(2, 1.0))
    records = [event_record(0), event_record(1, lead_id="poison"), undecodable(2)]
    batch = bench.prepared(*records, event_record(3, lead_id="poison"), event_record(4))
    assert batch.limit is not None
    assert (batch.next_offsets, letter_reasons(batch)) == ({0: 3}, {1: "internal_error", 2: "undecodable"})


def test_internal_errors_of_a_dropped_attempt_are_not_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """A letter that the failed slice admitted is admitted once more by the redoing, and counts once."""
    poison(monkeypatch)
    bench = Bench(guard=Guard(2, 1.0))
    batch = bench.prepared(undecodable(0), event_record(1, lead_id="poison"), event_record(2))
    assert batch.limit is None
    assert batch.guard.admit(bytearray([1, 1, 1])) == 2


# --- large dead letters ---


def large(offset: int = 0) -> Record:
    return record(offset, value=bytes(5000))


@pytest.mark.parametrize(
    ("ask", "whole"),
    [
        (lambda _: None, True),
        (lambda processor: processor.forward_whole(certain=True), False),
        (lambda processor: (processor.forward_whole(certain=True), processor.forward_whole(certain=False)), True),
    ],
    ids=["at first", "after a refusal", "after the next commit"],
)
def test_a_large_letter_is_tried_whole_until_a_broker_refused_one(ask: Callable[[Any], Any], whole: bool) -> None:
    """Compressed it may fit where its plain size does not."""
    bench = Bench(dead_letter_max_bytes=4000, producer_max_bytes=9000)
    ask(bench.processor)
    (letter,) = bench.prepared(large()).outputs
    assert (letter.value is not None) is whole
    assert (VALUE_DROPPED in str(letter.headers)) is not whole
