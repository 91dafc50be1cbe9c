"""The books of the demo: exactly one outcome for each input record, or a fault that names the first that has not."""

from __future__ import annotations

from cli.demo.ledger import Ledger
from tests.unit.cli.demo_data import START_MS, audit_of, decision


def test_each_record_with_its_outcome_is_well() -> None:
    """Decided, refused, or sent before."""
    ledger = Ledger()
    ledger.decision(decision(0, published=True), b"a")
    ledger.decision(decision(3, by="RULES"), b"b")
    ledger.dead_letter((0, 1), "undecodable")
    ledger.event((0, 0), "lead", "x")
    assert ledger.is_dead((0, 1))
    ledger.refused((0, 1))
    ledger.event((0, 2), "lead", "x")
    ledger.event((0, 3), "lead", "y")
    ledger.action("nurture", b"a")
    ledger.committed({0: 4}, {0: 4})
    audit = ledger.close()
    assert audit.faults == []
    assert (audit.inputs, audit.decisions.total(), audit.dead_letters["undecodable"], audit.duplicates) == (4, 2, 1, 1)
    assert (audit.fallbacks["deadline"], audit.actions["nurture"]) == (1, 1)


def test_a_record_without_outcome_is_a_fault() -> None:
    """It was lost: no event with its id was decided before it."""
    ledger = Ledger()
    ledger.event((0, 7), "lead", "x")
    assert ledger.close().faults == [
        "1 input records have no outcome and repeat nothing, the first at partition 0, offset 7"
    ]


def test_a_duplicate_must_come_after_what_it_repeats() -> None:
    """And be of the same lead."""
    ledger = Ledger()
    ledger.decision(decision(1), b"")
    ledger.event((0, 0), "lead", "x")
    ledger.event((0, 1), "lead", "x")
    ledger.event((0, 2), "other", "x")
    audit = ledger.close()
    assert audit.duplicates == 0
    assert audit.faults == ["2 input records have no outcome and repeat nothing, the first at partition 0, offset 0"]


def test_a_second_outcome_is_a_fault() -> None:
    """A decision twice, or a decision and a dead letter."""
    ledger = Ledger()
    ledger.decision(decision(0), b"")
    ledger.dead_letter((0, 0), "undecodable")
    ledger.refused((0, 0))
    assert ledger.close().faults == ["1 outcomes too many for their input records, the first at partition 0, offset 0"]


def test_an_outcome_without_a_record_is_a_fault() -> None:
    """Nothing is decided that was not sent."""
    ledger = Ledger()
    ledger.decision(decision(5), b"")
    assert ledger.close().faults == ["1 outcomes belong to no input record, the first at partition 0, offset 5"]


def test_an_action_is_its_decision_byte_for_byte() -> None:
    """Missing, twice, or other bytes."""
    ledger = Ledger()
    for offset, value in enumerate([b"once", b"never", b"twice"]):
        ledger.decision(decision(offset, published=True), value)
        ledger.event((0, offset), "lead", str(offset))
    for value in (b"once", b"twice", b"twice"):
        ledger.action("nurture", value)
    assert ledger.close().faults == ["2 decisions are not once, byte for byte, on the action topic where they belong"]


def test_partitions_must_be_committed_to_their_end() -> None:
    """Else the next instance would decide again."""
    ledger = Ledger()
    ledger.committed({0: 4, 1: 5}, {0: 4, 1: 6, 2: 0})
    assert ledger.close().faults == ["2 partitions are not committed to their end, the first at partition 1, offset 5"]


def test_the_first_decision_after_a_moment_is_found() -> None:
    """By the rules or by the model, in whatever order the partitions were read."""
    audit = audit_of(decision(0, at_s=3), decision(1, at_s=1), decision(2, at_s=2, by="RULES"))
    assert audit.decided.first_after(START_MS + 500, by_model=True) == START_MS + 1000
    assert audit.decided.first_after(START_MS + 500, by_model=False) == START_MS + 2000
    assert audit.decided.first_after(START_MS + 2500, by_model=False) is None
