"""An event history with outcomes to training rows: each accepted event is one, labelled by what came after it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from scoring.features import DAY_MS, features, rule_scores
from scoring.fold import Memory
from training.dataset import Dataset, Source, fingerprint
from training.findings import Column, Findings
from training.replay import Line, Replay, replay

_NEVER = np.iinfo(np.int64).max


def read_history(
    lines: Iterable[Line],
    converted_at_ms: Mapping[str, int],
    findings: Findings,
    *,
    files: Sequence[Path],
    horizon_days: float,
    as_of_ms: int | None,
    now_ms: int,
    memory: Memory,
) -> tuple[Dataset, Replay]:
    """Replays the events and labels them.

    Args:
        lines: The events, in offset order for each lead.
        converted_at_ms: The first conversion of each lead.
        findings: Takes what was rejected and left out.
        files: What `lines` and the outcomes were read from, for the fingerprint.
        horizon_days: A row counts as positive if its lead converts within so many days.
        as_of_ms: Until when events and outcomes are complete; None takes the last event's time.
        now_ms: The present.
        memory: How much the service remembers of a lead; other values give other features.

    Raises:
        DataRefusedError: A file cannot be read, or is not a regular one.
    """
    named, digest = fingerprint(files)
    history = replay(lines, findings, now_ms=now_ms, until_ms=as_of_ms, memory=memory)
    end_ms = as_of_ms if as_of_ms is not None else history.last_ms or 0
    leads = np.array(history.leads, dtype=np.int64)
    by_lead = np.array([converted_at_ms.get(lead_id, _NEVER) for lead_id in history.profiles], dtype=np.int64)
    known_at = np.array(history.known_at_ms, dtype=np.int64)
    kept, labels = label(known_at, by_lead[leads], int(horizon_days * DAY_MS), end_ms, findings)
    matrix = features(history.observations)
    _count_attributes(history, np.unique(leads[kept]), findings)
    _note_unknown_leads(history, converted_at_ms, findings)
    dataset = Dataset(
        features=matrix,
        rule_scores=rule_scores(history.observations, matrix),
        labels=labels,
        leads=leads,
        known_at_ms=known_at,
        source=Source(
            kind="events",
            files=named,
            fingerprint=digest,
            horizon_days=horizon_days,
            period_ms=None if history.last_ms is None else (history.first_ms or 0, history.last_ms),
            as_of_ms=end_ms,
        ),
    )
    return dataset.take(kept), history


def label(
    known_at_ms: NDArray[np.int64],
    converted_at_ms: NDArray[np.int64],
    horizon_ms: int,
    end_ms: int,
    findings: Findings,
) -> tuple[NDArray[np.bool_], NDArray[np.int8]]:
    """Which rows may be learnt from, and whether the lead converted after the row and within the horizon.

    A row at or after its lead's conversion is left out (there is nothing left to predict), and so is one whose
    horizon reaches past the end: that it has no conversion yet says nothing, and to keep only those that have one
    would teach that recent leads convert.

    Args:
        known_at_ms: `(n,) int64`: when the row could first be known.
        converted_at_ms: `(n,) int64`: the lead's conversion; the largest int64 for never.
        horizon_ms: The horizon.
        end_ms: Until when outcomes are known.
        findings: Takes how many rows were left out, and why.

    Example:
        >>> at, conversion = np.array([0, 5, 9, 10]), np.array([9, 9, 9, 99])
        >>> kept, labels = label(at, conversion, 4, 14, Findings())
        >>> kept.tolist(), labels.tolist()
        ([True, True, False, True], [0, 1, 0, 0])
    """
    after = known_at_ms >= converted_at_ms
    open_ended = ~after & (known_at_ms + horizon_ms > end_ms)
    if n_after := int(after.sum()):
        findings.left_out["rows after the lead's conversion"] += n_after
    if n_open := int(open_ended.sum()):
        findings.left_out["rows whose horizon reaches past the end of the data"] += n_open
    labels = ~after & (converted_at_ms <= known_at_ms + horizon_ms)
    return ~after & ~open_ended, labels.astype(np.int8)


def _count_attributes(history: Replay, leads: NDArray[np.int64], findings: Findings) -> None:
    """Completeness over the leads that the model learns from, as their profiles ended up."""
    columns = {name: Column() for name in ("email", "company_headcount", "created_at")}
    profiles = list(history.profiles.values())
    for number in leads.tolist():
        profile = profiles[number]
        columns["email"].count(profile.contactable)
        columns["company_headcount"].count(profile.company_headcount is not None)
        columns["created_at"].count(profile.created_at is not None)
    findings.columns = columns


def _note_unknown_leads(history: Replay, converted_at_ms: Mapping[str, int], findings: Findings) -> None:
    unknown = sum(lead_id not in history.profiles for lead_id in converted_at_ms)
    if unknown:
        findings.notes.append(f"{unknown} of {len(converted_at_ms)} leads in the outcomes have no event in the history")
