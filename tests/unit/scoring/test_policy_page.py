"""The examples of docs/policy.md are what the policy does."""

from __future__ import annotations

import tomllib
from pathlib import Path

from scoring.policy import Policy
from scoring.profile import Profile

PAGE = (Path(__file__).parents[3] / "docs" / "policy.md").read_text()


def test_the_policy_on_the_page_is_the_default() -> None:
    """The TOML and the version on the page are those of the policy that ships."""
    text = PAGE.split("```toml\n")[1].split("```")[0]
    shown = Policy.from_mapping(tomllib.loads(text))
    assert shown.version == Policy.load("default").version
    assert f"`{shown.version}`" in PAGE


def test_the_table_of_rules_decisions_holds() -> None:
    """Each row's last publication and rule score lead to the decision that the page says."""
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in PAGE.splitlines()]
    rows = [row for row in rows if len(row) == 4 and row[1][:1].isdigit()]
    last = [
        Profile(),
        Profile(last_action="contact_now", last_action_band="contact_now", last_action_at=0),
        Profile(last_action="manual_review", last_action_band="nurture", last_action_at=0),
        Profile(last_action="disqualify", last_action_band="disqualify", last_action_at=0),
        Profile(last_action="email_sequence", last_action_band="email_sequence", last_action_at=0),
    ]
    policy = Policy.load("default")
    found = [policy.route(p, float(row[1]), False, "OTHER", 0).decision for p, row in zip(last, rows, strict=True)]
    assert [f"`{decision}`" for decision in found] == [row[2] for row in rows]
