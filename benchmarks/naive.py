"""What one would write in an afternoon: poll, decode, fold, score by the rules, produce, commit.

The same scoring and routing as the service for good events, exactly once, with the same client settings, and nothing
else: no gates or dead letters, no restore, no overlap, no metrics, no model.

    python -m benchmarks.naive        configured as `lead-scorer run` is, by LEAD_SCORER__SECTION__KEY
"""

from __future__ import annotations

import io
import json
import math
import os
import time
from importlib.resources import files
from typing import Any

import fastavro
import xxhash

from benchmarks.echo import Stop, clients, commit, gather
from runtime.config import load
from schemas.codec import decision_codec, lead_profile_codec
from scoring.policy import Policy

DAY_MS = 86_400_000
HEAD_BYTES = 10
BANDS = ((0.30, "disqualify"), (0.70, "nurture"), (math.inf, "nurture"))
RANKS = {"disqualify": 0, "nurture": 1}
SIZES = ((0, -1, 1.0), (50, 0, 1.0), (500, 1, 2.0), (5000, 2, 4.0), (math.inf, 3, 3.0))
COUNTS = {"PAGE_VISIT": "page_visits", "EMAIL_OPEN": "email_opens", "DEMO_REQUEST": "demo_requests"}


def schema(name: str) -> Any:
    """A schema, parsed once."""
    return fastavro.parse_schema(json.loads(files("schemas").joinpath(f"{name}.avsc").read_text()))


EVENT, DECISION, PROFILE = schema("lead_event"), schema("decision"), schema("lead_profile")
DECISION_HEAD = b"\xc3\x01" + decision_codec().fingerprint
PROFILE_HEAD = b"\xc3\x01" + lead_profile_codec().fingerprint


def new_lead(lead_id: str, group_id: str) -> dict[str, Any]:
    """A profile without an event."""
    return {
        "lead_id": lead_id,
        "group_id": group_id,
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
        "last_offset": -1,
        "last_seen_at": 0,
    }


def encode(head: bytes, of: Any, datum: dict[str, Any]) -> bytes:
    """A framed record."""
    out = io.BytesIO()
    out.write(head)
    fastavro.schemaless_writer(out, of, datum)
    return out.getvalue()


def fold(lead: dict[str, Any], event: dict[str, Any]) -> bool:
    """Takes an event into a profile; False for a duplicate."""
    hashed = xxhash.xxh3_64_intdigest(event["event_id"].encode()) - 2**63
    if hashed in lead["recent_event_ids"]:
        return False
    lead["recent_event_ids"] = [*lead["recent_event_ids"][-31:], hashed]
    if event["event_type"] == "PROFILE_UPDATE":
        for name in ("company_headcount", "created_at"):
            if event[name] is not None:
                lead[name] = event[name]
        lead["contactable"] = lead["contactable"] or bool(event["email"])
        return True
    if event["event_type"] in COUNTS:
        lead[COUNTS[event["event_type"]]] += 1
    lead["last_activity_at"] = max(event["occurred_at"], lead["last_activity_at"] or event["occurred_at"])
    return True


def features(lead: dict[str, Any], occurred_at: int, before: int | None) -> dict[str, float]:
    """The five features."""
    points = 3 * lead["email_opens"] + 5 * lead["page_visits"] + 20 * lead["demo_requests"]
    engagement = min(points, 1000) / 10
    days = 999.0 if before is None else float(max(0, (occurred_at - before) // DAY_MS))
    bucket, weight = next((b, w) for edge, b, w in SIZES if (lead["company_headcount"] or 0) <= edge)
    return {
        "engagement_score": engagement,
        "recency_score": math.exp(-days / 21),
        "weighted_engagement": engagement * weight,
        "days_since_last_activity": days,
        "company_size_bucket": float(bucket),
    }


def route(lead: dict[str, Any], score: float, event: dict[str, Any]) -> tuple[str, bool]:
    """The rules' decision under the default policy, and whether it is published."""
    decision = next(name for edge, name in BANDS if score < edge)
    if RANKS.get(lead["last_action_band"], -1) > RANKS[decision]:
        decision = lead["last_action_band"]
    last_at = lead["last_action_at"]
    published = (
        decision != lead["last_action"]
        or event["occurred_at"] - last_at >= 7 * DAY_MS
        or event["event_type"] == "DEMO_REQUEST"
    )
    if published:
        lead["last_action"] = lead["last_action_band"] = decision
        lead["last_action_at"] = max(event["occurred_at"], last_at or event["occurred_at"])
    return decision, published


def decide(message: Any, event: dict[str, Any], lead: dict[str, Any], before: int | None) -> dict[str, Any]:
    """The decision on an event."""
    found = features(lead, event["occurred_at"], before)
    tenths = 3 + 3 * (lead["demo_requests"] > 0) + 2 * (found["engagement_score"] > 50)
    score = (tenths + (found["company_size_bucket"] >= 2)) / 10
    decision, published = route(lead, score, event)
    now_ms = time.time_ns() // 1_000_000
    return {
        **{name: event[name] for name in ("lead_id", "event_id", "event_type", "occurred_at")},
        "decision_id": f"{message.topic()}-{message.partition()}-{message.offset()}",
        "decided_at": now_ms,
        "score": score,
        "rule_score": score,
        "decision": decision,
        "confidence": "LOW",
        "scored_by": "RULES",
        "model_version": None,
        "policy_version": POLICY_VERSION,
        "fallback_reason": "no_model",
        "action_published": published,
        "features": found,
        "reasons": [],
        "latency_ms": float(max(0, now_ms - message.timestamp()[1])),
        "source_topic": message.topic(),
        "source_partition": message.partition(),
        "source_offset": message.offset(),
    }


POLICY_VERSION = Policy.load("default").version


def main() -> None:
    """The loop."""
    settings, stop = load(None, os.environ), Stop()
    consumer, producer = clients(settings)
    topics, group_id = settings.topics, settings.kafka.group_id
    leads: dict[tuple[int, str], dict[str, Any]] = {}
    while not stop.asked:
        messages = [message for message in gather(consumer, settings.budget.max_batch) if not message.error()]
        if not messages:
            continue
        producer.begin_transaction()
        changed: dict[tuple[int, str], bytes] = {}
        for message in messages:
            number, key = message.partition(), message.key()
            event: Any = fastavro.schemaless_reader(io.BytesIO(message.value()[HEAD_BYTES:]), EVENT, None)
            for name in ("occurred_at", "created_at"):
                if event[name] is not None:
                    event[name] = round(event[name].timestamp() * 1000)
            known = (number, event["lead_id"])
            lead = leads.get(known) or leads.setdefault(known, new_lead(event["lead_id"], group_id))
            before = lead["last_activity_at"]
            if not fold(lead, event):
                continue
            lead["last_offset"], lead["last_seen_at"] = message.offset(), message.timestamp()[1]
            changed[known] = key
            decision = decide(message, event, lead, before)
            value = encode(DECISION_HEAD, DECISION, decision)
            producer.produce(topics.decisions, value, key, number, timestamp=decision["decided_at"])
            if decision["action_published"]:
                to = topics.action(decision["decision"])
                producer.produce(to, value, key, number, timestamp=decision["decided_at"])
        for (number, lead_id), key in changed.items():
            producer.produce(topics.profiles, encode(PROFILE_HEAD, PROFILE, leads[number, lead_id]), key, number)
        commit(consumer, producer, topics.events, {m.partition(): m.offset() + 1 for m in messages})
    consumer.close()


if __name__ == "__main__":
    main()
