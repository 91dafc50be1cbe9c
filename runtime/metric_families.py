"""Every metric of contract 9 in one table: name, kind, labels, what it means and what to do about it.

docs/metrics.md and the exposition are made from it. No label ever carries a lead, an event or an address.
"""

from dataclasses import dataclass, field
from typing import Literal

SCORED_BY = ("MODEL", "RULES")
EVENT_RESULTS = ("scored", "duplicate", "dead_letter")
STAGES = ("poll", "decode", "state", "inference", "publish", "commit")
FALLBACK_REASONS = ("no_model", "bad_model", "model_error", "bad_score", "deadline", "breaker_open")
DEAD_LETTER_REASONS = (
    "undecodable",
    "unknown_schema",
    "empty_lead_id",
    "empty_event_id",
    "oversized",
    "key_mismatch",
    "occurred_in_future",
    "negative_account_age",
    "negative_headcount",
    "internal_error",
)
#: By what the loop does about them: redo the batch, wait, give partitions up, isolate a record, end.
ERROR_KINDS = ("abort", "registry", "ownership_lost", "fenced", "record", "fatal")
TRANSACTION_RESULTS = ("committed", "aborted")
REBALANCE_KINDS = ("assigned", "revoked", "lost")
MODEL_LOAD_RESULTS = ("loaded", "refused")
GATES = ("email_completeness", "null_headcount", "null_created_at", "engagement_shift")
BREAKER_STATES = ("closed", "half_open", "open")  # the gauge's 0, 1 and 2

# An edge exactly at the budget of 150 ms: the share of late decisions is then a ratio of two exact counts.
LATENCY_EDGES_S = (0.005, 0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.125, 0.15, 0.2, 0.3, 0.5, 1, 2.5, 5, 10, 30, 60, 300)
STAGE_EDGES_S = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.25, 0.5, 1, 2.5, 5, 10)
BATCH_EDGES = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000)
# Twentieths: the edges of the policies that ship are among them.
SCORE_EDGES = tuple(n / 20 for n in range(1, 21))


@dataclass(frozen=True)
class Family:
    """One metric family.

    Attributes:
        name: As exposed, with `_total` for counters.
        kind: A gauge is absent until it is known, and goes with what it describes.
        meaning: What it tells, in a sentence.
        remedy: What to look at when it looks bad.
        labels: Label -> its closed set of values; empty where partitions, versions or the policy give them.
        edges: Upper bounds of a histogram's buckets, without infinity.
    """

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    meaning: str
    remedy: str
    labels: dict[str, tuple[str, ...]] = field(default_factory=dict)
    edges: tuple[float, ...] = ()


EVENTS = Family(
    "lead_scorer_events_total",
    "counter",
    "Input records whose results are committed.",
    "No growth while lag grows: see lead_scorer_errors_total and /healthz. Many duplicates: an upstream sends twice.",
    {"result": EVENT_RESULTS},
)
DECISIONS = Family(
    "lead_scorer_decisions_total",
    "counter",
    "Decisions committed.",
    "A rising share of RULES: see lead_scorer_fallbacks_total. A shift between decisions: see lead_scorer_score.",
    {"decision": (), "scored_by": SCORED_BY},
)
ACTIONS = Family(
    "lead_scorer_actions_published_total",
    "counter",
    "Decisions that were also published to their action topic.",
    "Far from the usual share of decisions: the policy or its repeat_after_days changed, or leads swing between bands.",
    {"decision": ()},
)
LATENCY = Family(
    "lead_scorer_decision_latency_seconds",
    "histogram",
    "Append of an event to the commit of its decision.",
    "More than 5 % over 0.15 s: if lead_scorer_consumer_lag_seconds grows, add instances; else "
    "lead_scorer_stage_seconds names the slow stage.",
    edges=LATENCY_EDGES_S,
)
STAGE = Family(
    "lead_scorer_stage_seconds",
    "histogram",
    "Time that a batch spends in a stage.",
    "commit slow: look at the brokers. inference slow: see lead_scorer_breaker_state. poll mostly waits.",
    {"stage": STAGES},
    STAGE_EDGES_S,
)
BATCH = Family(
    "lead_scorer_batch_records",
    "histogram",
    "Records in a transaction.",
    "Always at budget.max_batch: the scorer works through a backlog.",
    edges=BATCH_EDGES,
)
FALLBACKS = Family(
    "lead_scorer_fallbacks_total",
    "counter",
    "Decisions that the rules gave instead of the model.",
    "no_model: promote one. bad_model: the log's last `model_refused` tells why. deadline, breaker_open: the "
    "model is too slow. model_error, bad_score: roll back to the model before.",
    {"reason": FALLBACK_REASONS},
)
BREAKER = Family(
    "lead_scorer_breaker_state",
    "gauge",
    "The model's circuit breaker: 0 closed, 1 half-open, 2 open.",
    "Open for long: lead_scorer_fallbacks_total had the reason before it opened; roll the model back.",
)
DEAD_LETTERS = Family(
    "lead_scorer_dead_letters_total",
    "counter",
    "Records moved to the dead letters.",
    "`lead-scorer dead-letters list` shows them. unknown_schema: upgrade scorers before producers. internal_error: a "
    "fault of the scorer; replay them once it is fixed.",
    {"reason": DEAD_LETTER_REASONS},
)
ERRORS = Family(
    "lead_scorer_errors_total",
    "counter",
    "Faults by what was done about them: abort, the batch was redone; registry, the schema registry was waited for; "
    "ownership_lost, a batch of revoked partitions was dropped; fenced, another process took the transactional id, or "
    "the transaction had timed out; record, one record was isolated; fatal, the process ended.",
    "Single ones heal themselves. Steady abort: look at the brokers and the ACLs. fenced after a pause: the "
    "transaction had timed out; twice within a minute: two processes have one kafka.instance_id.",
    {"kind": ERROR_KINDS},
)
TRANSACTIONS = Family(
    "lead_scorer_transactions_total",
    "counter",
    "Transactions ended.",
    "aborted grows: see lead_scorer_errors_total and the log.",
    {"result": TRANSACTION_RESULTS},
)
REBALANCES = Family(
    "lead_scorer_rebalances_total",
    "counter",
    "Changes of this instance's partitions.",
    "Steady growth: instances come and go, or batches outlast max.poll.interval.ms. lost: the session expired.",
    {"kind": REBALANCE_KINDS},
)
LAG_RECORDS = Family(
    "lead_scorer_consumer_lag_records",
    "gauge",
    "Readable records not yet processed, to the last stable offset.",
    "Grows steadily: add instances, up to one for each partition.",
    {"partition": ()},
)
LAG_SECONDS = Family(
    "lead_scorer_consumer_lag_seconds",
    "gauge",
    "Age of the oldest readable record not yet processed.",
    "Grows: see lead_scorer_consumer_lag_records; grows with few records: the loop is stuck, see /healthz.",
    {"partition": ()},
)
STATE_LEADS = Family(
    "lead_scorer_state_leads",
    "gauge",
    "Leads held in memory.",
    "Nears the memory there is: add instances, or lower state.retention_days.",
)
RESTORE = Family(
    "lead_scorer_restore_seconds",
    "gauge",
    "Duration of the last restore from the profiles topic.",
    "Longer each time: the profiles topic is not compacted in time; look at the brokers' log cleaner.",
)
MODEL_INFO = Family(
    "lead_scorer_model_info",
    "gauge",
    "1 for the model that is loaded; absent without one.",
    "Not the version that was promoted: see lead_scorer_model_loads_total and the log.",
    {"version": (), "alias": ()},
)
MODEL_LOADS = Family(
    "lead_scorer_model_loads_total",
    "counter",
    "Attempts to load a model.",
    "refused: the log's `model_refused` has the reason; the old model stays.",
    {"result": MODEL_LOAD_RESULTS},
)
SCORE = Family(
    "lead_scorer_score",
    "histogram",
    "Scores that the model gave.",
    "A shape that moves away from the training baseline: see the stream gates, then train anew.",
    edges=SCORE_EDGES,
)
GATE_RATIO = Family(
    "lead_scorer_stream_gate_ratio",
    "gauge",
    "Stream gates over the last 1,000 records: the shares of leads without e-mail, headcount and creation time, and "
    "the shift of the mean engagement from the baseline.",
    "Over 0.05 (engagement_shift: 0.25): an upstream stopped sending a field, or the traffic changed.",
    {"gate": GATES},
)

FAMILIES = (
    EVENTS,
    DECISIONS,
    ACTIONS,
    LATENCY,
    STAGE,
    BATCH,
    FALLBACKS,
    BREAKER,
    DEAD_LETTERS,
    ERRORS,
    TRANSACTIONS,
    REBALANCES,
    LAG_RECORDS,
    LAG_SECONDS,
    STATE_LEADS,
    RESTORE,
    MODEL_INFO,
    MODEL_LOADS,
    SCORE,
    GATE_RATIO,
)
