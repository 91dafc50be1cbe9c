"""A second implementation of contract 5 and 6: slow, naive, dictionary-based, and nothing of it from `scoring`.

It is written from the contract's text, to be read beside it, and says what must become of each record of *one*
partition and what the leads' profiles must be in the end:

    result = run(records, tomllib.loads(policy_text))
    result.outcomes[offset]      # what becomes of the record there
    result.profiles[lead_id]     # the lead's state in the end

A model is injected: as a function of the features (`model`), or by the scores that were seen at the offsets
(`scores`). Where both say None the rules answer.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

DAY_MS = 24 * 60 * 60 * 1000
SIZES = ["startup", "mid_market", "enterprise", "mega"]
WEIGHTS = {"unknown": 1, "startup": 1, "mid_market": 2, "enterprise": 4, "mega": 3}

Features = dict[str, float]
Lead = dict[str, Any]


class Record(NamedTuple):
    """A record: its event as decoded, or the reason why it does not decode ("undecodable", "unknown_schema")."""

    offset: int
    key: bytes | None
    value: Mapping[str, Any] | str
    append_ms: int


@dataclass
class Outcome:
    """What becomes of a record; all fields but the first two are those of a `Decision`."""

    kind: str  # "scored", "duplicate" or "dead_letter"
    reason: str | None = None  # of a dead letter
    features: Features = field(default_factory=dict)
    rule_score: float = math.nan
    score: float = math.nan
    scored_by: str = ""
    decision: str = ""
    confidence: str = ""
    action_published: bool = False


@dataclass
class Result:
    """The outcome of each offset, and each lead's state with the fields of a `LeadProfile`, ids in clear."""

    outcomes: dict[int, Outcome] = field(default_factory=dict)
    profiles: dict[str, Lead] = field(default_factory=dict)


def run(
    records: Iterable[Record],
    policy: Mapping[str, Any],
    *,
    dedup_window: int = 32,
    retention_days: float = 365,
    model: Callable[[Features], float | None] | None = None,
    scores: Mapping[int, float | None] | None = None,
) -> Result:
    """Works through one partition's records, in offset order."""
    result = Result()
    for record in records:
        reason = gate(record)
        if reason is not None:
            result.outcomes[record.offset] = Outcome("dead_letter", reason)
            continue
        event: Mapping[str, Any] = record.value  # type: ignore[assignment]
        lead = result.profiles.get(event["lead_id"])
        if lead is None or record.append_ms - lead["last_seen_at"] >= retention_days * DAY_MS:
            lead = new_lead(event["lead_id"])
        remembered = lead["recent_event_ids"][-dedup_window:] if dedup_window else []
        if event["event_id"] in remembered:
            result.outcomes[record.offset] = Outcome("duplicate")
            continue
        result.profiles[event["lead_id"]] = lead
        activity_before = lead["last_activity_at"]
        fold(lead, event)
        lead["recent_event_ids"] = ([*remembered, event["event_id"]])[-dedup_window:] if dedup_window else []
        lead["last_offset"] = record.offset
        lead["last_seen_at"] = record.append_ms
        features = features_of(lead, event["occurred_at"], activity_before)
        rule_score = rule_score_of(lead, features)
        score = model(features) if model else None
        if scores is not None:
            score = scores.get(record.offset)
        outcome = decide(lead, event, policy, rule_score, score)
        outcome.features = features
        result.outcomes[record.offset] = outcome
    return result


def new_lead(lead_id: str) -> Lead:
    return {
        "lead_id": lead_id,
        "page_visits": 0,
        "email_opens": 0,
        "demo_requests": 0,
        "company_headcount": None,
        "created_at": None,
        "contactable": False,
        "last_activity_at": None,
        "last_action": None,
        "last_action_band": None,
        "last_action_at": None,
        "recent_event_ids": [],
        "last_offset": None,
        "last_seen_at": None,
    }


# --- Gates, in the contract's order ---


def gate(record: Record) -> str | None:
    event = record.value
    if isinstance(event, str):
        return event
    lead_id, event_id = event["lead_id"], event["event_id"]
    occurred_at, created_at = event["occurred_at"], event["created_at"]
    failed = {
        "empty_lead_id": lead_id == "",
        "empty_event_id": event_id == "",
        "oversized": len(lead_id) > 256 or len(event_id) > 256,
        "key_mismatch": record.key is None or record.key != lead_id.encode("utf-8"),
        "occurred_in_future": occurred_at - record.append_ms > 5 * 60 * 1000,
        "negative_account_age": created_at is not None and occurred_at - created_at < 0,
        "negative_headcount": event["company_headcount"] is not None and event["company_headcount"] < 0,
    }
    return next((reason for reason, fails in failed.items() if fails), None)


# --- State ---


def fold(lead: Lead, event: Mapping[str, Any]) -> None:
    kind = event["event_type"]
    if kind == "PROFILE_UPDATE":
        if event["company_headcount"] is not None:
            lead["company_headcount"] = event["company_headcount"]
        if event["created_at"] is not None:
            lead["created_at"] = event["created_at"]
        if event["email"] is not None and event["email"] != "":
            lead["contactable"] = True
        return
    counts = {"PAGE_VISIT": "page_visits", "EMAIL_OPEN": "email_opens", "DEMO_REQUEST": "demo_requests"}
    if kind in counts:
        lead[counts[kind]] += 1
    activity = [at for at in (lead["last_activity_at"], event["occurred_at"]) if at is not None]
    lead["last_activity_at"] = max(activity)


# --- Features and the rule score ---


def features_of(lead: Lead, occurred_at: int, activity_before: int | None) -> Features:
    points = 3 * lead["email_opens"] + 5 * lead["page_visits"] + 20 * lead["demo_requests"]
    engagement = min(points, 1000) / 10
    days = 999.0
    if activity_before is not None:
        days = float(max(0, (occurred_at - activity_before) // DAY_MS))
    size = size_of(lead["company_headcount"])
    return {
        "engagement_score": engagement,
        "recency_score": math.exp(-days / 21),
        "weighted_engagement": engagement * WEIGHTS[size],
        "days_since_last_activity": days,
        "company_size_bucket": -1.0 if size == "unknown" else float(SIZES.index(size)),
    }


def size_of(headcount: int | None) -> str:
    if headcount is None or headcount == 0:
        return "unknown"
    if headcount <= 50:
        return "startup"
    if headcount <= 500:
        return "mid_market"
    if headcount <= 5000:
        return "enterprise"
    return "mega"


def rule_score_of(lead: Lead, features: Features) -> float:
    tenths = 3
    if lead["demo_requests"] >= 1:
        tenths += 3
    if features["engagement_score"] > 50:
        tenths += 2
    if size_of(lead["company_headcount"]) in ("enterprise", "mega"):
        tenths += 1
    return tenths / 10


# --- Policy ---


def decide(
    lead: Lead, event: Mapping[str, Any], policy: Mapping[str, Any], rule_score: float, score: float | None
) -> Outcome:
    names = [band["decision"] for band in policy["bands"]]
    review = policy.get("review")
    if score is None:
        scored_by, published_score, confidence = "RULES", rule_score, "LOW"
        band = capped(band_of(policy, rule_score), policy.get("fallback", {}).get("cap"), names)
        if lead["last_action_band"] in names and names.index(lead["last_action_band"]) > names.index(band):
            band = lead["last_action_band"]
        decision = band
    else:
        scored_by, published_score = "MODEL", score
        confidence = confidence_of(policy, score)
        decision = band = band_of(policy, score)
        if review is not None and confidence in review["confidence"]:
            decision = review["decision"]
    publish = is_published(lead, event, policy, decision)
    if publish:
        lead["last_action"] = decision
        lead["last_action_band"] = band
        earlier = lead["last_action_at"]
        lead["last_action_at"] = event["occurred_at"] if earlier is None else max(earlier, event["occurred_at"])
    return Outcome(
        "scored",
        rule_score=rule_score,
        score=published_score,
        scored_by=scored_by,
        decision=decision,
        confidence=confidence,
        action_published=publish,
    )


def band_of(policy: Mapping[str, Any], score: float) -> str:
    for band in policy["bands"]:
        if "below" not in band or score < band["below"]:
            return str(band["decision"])
    raise AssertionError("the last band has no edge")


def capped(band: str, cap: str | None, names: list[str]) -> str:
    if cap is not None and names.index(band) > names.index(cap):
        return cap
    return band


def confidence_of(policy: Mapping[str, Any], score: float) -> str:
    rule = policy["confidence"]
    if score >= rule["high_from"] or score < rule["high_below"]:
        return "HIGH"
    if rule["low"][0] <= score < rule["low"][1]:
        return "LOW"
    return "MEDIUM"


def is_published(lead: Lead, event: Mapping[str, Any], policy: Mapping[str, Any], decision: str) -> bool:
    known = [band["decision"] for band in policy["bands"]]
    if policy.get("review") is not None:
        known.append(policy["review"]["decision"])
    if lead["last_action"] not in known:
        return True
    if lead["last_action"] != decision:
        return True
    if event["occurred_at"] - lead["last_action_at"] >= policy["repeat_after_days"] * DAY_MS:
        return True
    return event["event_type"] in policy["always_publish"]
