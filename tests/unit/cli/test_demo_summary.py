"""The closing summary: what happened, and whether all is well."""

from __future__ import annotations

import io
from collections import Counter
from dataclasses import replace
from typing import Any

import pytest
from rich.console import Console

from cli.demo.ledger import Audit
from cli.demo.outage import Outage
from cli.demo.plan import Plan
from cli.demo.summary import Story, print_summary, problems
from tests.unit.cli.demo_data import audit_of, decision, overcome_outage, sample, state


def story(**others: Any) -> Story:
    """Three events: by the model, by the rules in the outage, by the model after it."""
    audit = audit_of(decision(0, at_s=1), decision(1, at_s=5.25, by="RULES"), decision(2, at_s=7.125))
    given: dict[str, Any] = {
        "state": state((3, sample(10.0, 2, 1)), sent=3),
        "outage": overcome_outage(),
        "audit": audit,
        "traffic_s": 1.5,
        "exit_code": 0,
        "without_model": "",
        "setting": "warmed up by 9 transactions",
    }
    return Story(**{**given, **others})


def printed(told: Story, width: int = 100) -> str:
    console = Console(file=io.StringIO(), width=width, color_system=None)
    with console.capture() as capture:
        print_summary(console, told)
    return capture.get()


def test_a_good_run_is_well() -> None:
    """The verdict comes first."""
    assert problems(story()) == []
    assert printed(story()).strip().startswith("All is well.")


def test_the_summary_tells_the_story() -> None:
    """Broker, traffic, model against rules, outage with its moments, fallback by reason, the check."""
    text = " ".join(printed(story()).split())
    for part in (
        "local Apache Kafka 4.3.1 at 127.0.0.1:20092; warmed up by 9 transactions",
        "3 events in 1.5 s (2/s)",
        "ROC-AUC 0.81 on leads it has not seen, the rules 0.56",
        "the model hung for 2.0 s; the rules answered after 0.25 s, the model again 0.12 s after its end",
        "33.3 % of the decisions by rules: deadline 1",
        "3 decided, 0 dead letters, 0 duplicates dropped; 0 actions published",
        "read back: 3 of 3 input offsets have exactly one outcome",
        "before the outage",
        "within 150 ms",
    ):
        assert part in text, part


@pytest.mark.parametrize("width", [80, 100])
def test_the_summary_fits(width: int) -> None:
    """Long texts are wrapped beside their label, never cut."""
    text = printed(story(), width)
    assert all(len(line) <= width for line in text.splitlines())
    assert "…" not in text


def with_audit(**changes: Any) -> Story:
    told = story()
    return replace(told, audit=replace(told.audit, **changes))


@pytest.mark.parametrize(
    ("told", "problem"),
    [
        (with_audit(faults=["2 input records have no outcome"]), "2 input records have no outcome"),
        (story(state=state((3, sample(10.0, 2, 1)), sent=4)), "4 events were sent, 3 are on the topic"),
        (story(state=state((3, sample(10.0, 2)), sent=3)), "the service counted 2 as scored, the topics have 3"),
        (with_audit(dead_letters=Counter(undecodable=1)), "the service counted 0 as dead_letter, the topics have 1"),
        (story(exit_code=5), "the service ended with 5 instead of 0"),
        (story(exit_code=None), "the service ended with None instead of 0"),
        (story(audit=audit_of(decision(0), decision(1), decision(2, at_s=8))), "but the rules never answered"),
        (story(audit=audit_of(*(decision(n, at_s=6, by="RULES") for n in range(3)))), "but did not answer again"),
    ],
)
def test_what_is_not_well_is_said(told: Story, problem: str) -> None:
    """First in the summary, and it ends the demo with another code."""
    (found,) = problems(told)
    assert problem in found
    text = " ".join(printed(told).split())
    assert text.startswith("NOT well:")
    assert problem in text


def test_a_violation_is_not_glossed_over() -> None:
    """The line that would claim it says that it is not so."""
    text = printed(with_audit(faults=["1 input records have no outcome"]))
    assert "VIOLATED" in text
    assert "have exactly one outcome" not in text


def test_without_a_model_there_is_no_outage_and_all_is_well() -> None:
    """What is missing is named as it is: brackets are no markup."""
    told = story(
        state=state((3, sample(10.0, 0, 3, fallbacks={"no_model": 3})), sent=3, model=None),
        outage=Outage(Plan(3, 1.0, 0.0, 1.0)),
        audit=audit_of(*(decision(n, by="RULES") for n in range(3))),
        without_model="sklearn not installed (pip install '.[training]')",
    )
    assert problems(told) == []
    text = printed(told)
    assert "none: there is no model" in text
    assert ".[training]" in text


def test_a_run_without_outage_says_why() -> None:
    """Too few events, or too short."""
    plan = Plan(events=3, rate=1.0, outage_s=0.0, open_s=1.0)
    text = printed(story(state=state((3, sample(10.0, 3)), sent=3, plan=plan), outage=Outage(plan)))
    assert "none: 3 events are too few" in text


def test_an_empty_audit_can_be_printed() -> None:
    """A topic that nobody could read still gives a summary that says so."""
    assert "VIOLATED" in printed(story(audit=Audit(faults=["nothing could be read"])))
