"""Routing: bands, confidence, review, the rules' cap and hold, and what is published (contract 6)."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scoring.policy import Policy, Route
from scoring.profile import Profile
from tests import oracle
from tests.unit.scoring.strategies import DAY_MS, NOON_MS, event_of, near_times, policies, policy_data, scores

WEEK_MS = 7 * DAY_MS
DEFAULT = Policy.load("default")
THREE_WAY = Policy.load("three_way")


def published(decision: str, band: str | None = None, at: int = NOON_MS) -> Profile:
    return Profile(last_action=decision, last_action_band=band or decision, last_action_at=at)


def model(policy: Policy, score: float, profile: Profile | None = None) -> Route:
    return policy.route(profile or Profile(), score, True, "PAGE_VISIT", NOON_MS)


def rules(policy: Policy, score: float, profile: Profile | None = None) -> Route:
    return policy.route(profile or Profile(), score, False, "PAGE_VISIT", NOON_MS)


def below(score: float) -> float:
    """The double next to a score on its lower side."""
    import math

    return math.nextafter(score, 0.0)


@pytest.mark.parametrize(
    ("score", "decision", "confidence"),
    [
        (0.0, "disqualify", "HIGH"),
        (below(0.30), "disqualify", "HIGH"),
        (0.30, "nurture", "MEDIUM"),
        (below(0.45), "nurture", "MEDIUM"),
        (0.45, "manual_review", "LOW"),
        (below(0.50), "manual_review", "LOW"),
        (0.50, "nurture", "MEDIUM"),
        (below(0.70), "nurture", "MEDIUM"),
        (0.70, "contact_now", "HIGH"),
        (1.0, "contact_now", "HIGH"),
    ],
)
def test_the_default_policy(score: float, decision: str, confidence: str) -> None:
    """A model score on an edge belongs to the band above it, the double before to the band below."""
    route = model(DEFAULT, score)
    assert (route.decision, route.confidence) == (decision, confidence)


@pytest.mark.parametrize(
    ("score", "decision", "confidence"),
    [
        (0.0, "nurture", "HIGH"),
        (below(0.40), "nurture", "MEDIUM"),
        (0.40, "email_sequence", "MEDIUM"),
        (0.45, "email_sequence", "LOW"),
        (below(0.70), "email_sequence", "MEDIUM"),
        (0.70, "contact_now", "HIGH"),
        (1.0, "contact_now", "HIGH"),
    ],
)
def test_the_three_way_policy(score: float, decision: str, confidence: str) -> None:
    """The second policy that ships: other bands, the same confidence, no review."""
    route = model(THREE_WAY, score)
    assert (route.decision, route.confidence) == (decision, confidence)


@pytest.mark.parametrize(("policy", "cap"), [(DEFAULT, "nurture"), (THREE_WAY, "email_sequence")])
def test_rules_are_capped(policy: Policy, cap: str) -> None:
    """A rules decision above the cap becomes the cap."""
    assert rules(policy, 0.9).decision == cap


def test_rules_below_the_cap_stand() -> None:
    """The cap raises nothing."""
    assert rules(DEFAULT, 0.2).decision == "disqualify"


def test_rules_without_a_cap() -> None:
    """Without a cap the rules may give any band."""
    assert rules(Policy.from_mapping(policy_data(fallback={})), 0.9).decision == "contact_now"


@pytest.mark.parametrize("score", [0.1, 0.3, 0.47, 0.9])
def test_rules_have_low_confidence_and_no_review(score: float) -> None:
    """Whatever the score, a rules decision is LOW and goes to no review, though LOW model scores do."""
    route = rules(DEFAULT, score)
    assert route.confidence == "LOW"
    assert route.decision != "manual_review"


def test_rules_never_lower_a_lead() -> None:
    """Where the last published decision's band is higher, the decision is that band's, above the cap too."""
    assert rules(DEFAULT, 0.3, published("contact_now")).decision == "contact_now"


def test_rules_raise_a_lead() -> None:
    """A lower last decision does not hold the rules down."""
    assert rules(DEFAULT, 0.3, published("disqualify")).decision == "nurture"


def test_a_reviewed_lead_is_held_by_its_band() -> None:
    """After a review the rules are held at the band of the score that was reviewed, and decide that band."""
    route = rules(Policy.load("default"), 0.2, published("manual_review", band="nurture"))
    assert (route.decision, route.publish) == ("nurture", True)


def test_the_model_lowers_a_lead() -> None:
    """Only the rules are held: the model's own score decides."""
    assert model(DEFAULT, 0.1, published("contact_now")).decision == "disqualify"


def test_a_band_that_is_not_known_holds_nothing() -> None:
    """A last band from another policy is as none."""
    assert rules(DEFAULT, 0.2, published("email_sequence")).decision == "disqualify"


def test_the_first_decision_is_published() -> None:
    """A lead's first decision is published."""
    assert model(DEFAULT, 0.6).publish


def test_the_same_decision_is_not_published_again() -> None:
    """Within the repeat time the same decision is not published."""
    assert not model(DEFAULT, 0.6, published("nurture")).publish


def test_another_decision_is_published() -> None:
    """A decision that differs from the last published is published at once."""
    assert model(DEFAULT, 0.8, published("nurture")).publish


def test_a_decision_of_another_policy_is_as_none() -> None:
    """A last action that the policy cannot give counts as none."""
    assert model(DEFAULT, 0.6, published("email_sequence", band="nurture")).publish


def test_a_second_review_is_not_published() -> None:
    """For reviews the decision counts, not the band of its score."""
    assert not model(DEFAULT, 0.47, published("manual_review", band="nurture")).publish


def test_from_review_to_its_band_is_a_change() -> None:
    """A lead that was reviewed and now gets the band of that score has another decision."""
    assert model(DEFAULT, 0.6, published("manual_review", band="nurture")).publish


@pytest.mark.parametrize(("after_ms", "again"), [(WEEK_MS - 1, False), (WEEK_MS, True), (-WEEK_MS, False)])
def test_a_decision_repeats(after_ms: int, again: bool) -> None:
    """The same decision is published again from exactly `repeat_after_days` on; an event before it repeats nothing."""
    route = DEFAULT.route(published("nurture"), 0.6, True, "PAGE_VISIT", NOON_MS + after_ms)
    assert route.publish is again


def test_half_a_day() -> None:
    """The repeat time may be a fraction of a day."""
    policy = Policy.from_mapping(policy_data(repeat_after_days=0.5))
    seen = [
        policy.route(published("nurture"), 0.6, True, "OTHER", NOON_MS + ms).publish
        for ms in (DAY_MS // 2 - 1, DAY_MS // 2)
    ]
    assert seen == [False, True]


@pytest.mark.parametrize(
    ("event_type", "publish"), [("DEMO_REQUEST", True), ("PAGE_VISIT", False), ("PROFILE_UPDATE", False)]
)
@pytest.mark.parametrize("by_model", [True, False])
def test_a_demo_request_is_always_published(event_type: str, publish: bool, by_model: bool) -> None:
    """The types in `always_publish` publish whatever was published before, by model and by rules."""
    assert DEFAULT.route(published("nurture"), 0.6, by_model, event_type, NOON_MS).publish is publish


def test_an_action_is_recorded() -> None:
    """A publication leaves its decision, its band and its time in the profile."""
    profile = Profile()
    DEFAULT.record_action(profile, model(DEFAULT, 0.47), NOON_MS)
    assert (profile.last_action, profile.last_action_band, profile.last_action_at) == (
        "manual_review",
        "nurture",
        NOON_MS,
    )


def test_the_cap_stays_in_an_outage() -> None:
    """The band that is remembered of a capped decision is the cap: the next rules decision is capped as well."""
    profile = Profile()
    DEFAULT.record_action(profile, rules(DEFAULT, 0.9), NOON_MS)
    assert rules(DEFAULT, 0.9, profile).decision == "nurture"


def test_a_held_lead_stays_held() -> None:
    """A held decision that is published again holds the next one."""
    profile = published("contact_now")
    held = DEFAULT.route(profile, 0.3, False, "DEMO_REQUEST", NOON_MS)
    assert held.publish
    DEFAULT.record_action(profile, held, NOON_MS)
    assert rules(DEFAULT, 0.3, profile).decision == "contact_now"


def test_the_last_publication_never_goes_back() -> None:
    """A late event's publication does not move the time of the last one."""
    profile = published("nurture")
    DEFAULT.record_action(profile, model(DEFAULT, 0.8), NOON_MS - 5)
    assert profile.last_action_at == NOON_MS


def test_a_publication_before_1970() -> None:
    """A negative time is a time: it moves on, and a repeat is counted from it."""
    profile = published("nurture", at=-WEEK_MS)
    assert DEFAULT.route(profile, 0.6, True, "OTHER", 0).publish
    DEFAULT.record_action(profile, model(DEFAULT, 0.6), -3)
    assert profile.last_action_at == -3


def test_routing_changes_nothing() -> None:
    """`route` is pure: only `record_action` changes the profile."""
    profile = published("nurture")
    before = profile.copy()
    model(DEFAULT, 0.9, profile)
    assert profile == before


def test_the_decisions_of_a_policy() -> None:
    """All that a policy can give: the bands in rising order, then the review."""
    assert DEFAULT.decisions == ("disqualify", "nurture", "contact_now", "manual_review")
    assert THREE_WAY.decisions == ("nurture", "email_sequence", "contact_now")


def test_one_band_takes_all() -> None:
    """A policy of a single band gives it to every score."""
    data = policy_data(bands=[{"decision": "nurture"}], review=None, fallback={})
    policy = Policy.from_mapping({key: value for key, value in data.items() if value is not None})
    assert {model(policy, score).decision for score in (0.0, 0.5, 1.0)} == {"nurture"}


def decided_by_oracle(
    data: dict[str, Any], lead: dict[str, Any], event: dict[str, Any], score: float, by_model: bool
) -> oracle.Outcome:
    return oracle.decide(lead, event, data, score, score if by_model else None)


actions = st.one_of(st.none(), st.sampled_from(["d0", "d1", "d2", "d3", "review", "unknown"]))
types = st.sampled_from(["PAGE_VISIT", "DEMO_REQUEST", "PROFILE_UPDATE"])


@given(policies(), scores, st.booleans(), types, near_times, actions, actions, near_times)
def test_routing_agrees_with_the_oracle(
    data: dict[str, Any],
    score: float,
    by_model: bool,
    event_type: str,
    occurred_at: int,
    last_action: str | None,
    last_band: str | None,
    last_at: int,
) -> None:
    """For any policy, score and last publication both implementations decide, publish and remember the same."""
    policy = Policy.from_mapping(data)
    profile = Profile(last_action=last_action, last_action_band=last_band)
    profile.last_action_at = None if last_action is None else last_at
    lead = {"last_action": last_action, "last_action_band": last_band, "last_action_at": profile.last_action_at}
    route = policy.route(profile, score, by_model, event_type, occurred_at)
    if route.publish:
        policy.record_action(profile, route, occurred_at)
    expected = decided_by_oracle(
        data, lead, dict(event_of(event_type=event_type, occurred_at=occurred_at)), score, by_model
    )
    assert (route.decision, route.confidence, route.publish) == (
        expected.decision,
        expected.confidence,
        expected.action_published,
    )
    assert lead == {
        "last_action": profile.last_action,
        "last_action_band": profile.last_action_band,
        "last_action_at": profile.last_action_at,
    }
    assert route.decision in policy.decisions


@given(policies(), scores)
def test_bands_cover(data: dict[str, Any], score: float) -> None:
    """Every score lies in exactly one band, and that band's decision is the one it gets."""
    policy = Policy.from_mapping(data)
    starts = [0.0, *(band.below for band in policy.bands if band.below is not None)]
    ends = [*starts[1:], 1.1]
    inside = [
        band.decision for band, start, end in zip(policy.bands, starts, ends, strict=True) if start <= score < end
    ]
    assert inside == [policy.band(score)]
