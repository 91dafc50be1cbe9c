"""A CSV snapshot, one row per lead, to training rows: the features of an event at the snapshot's moment."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from scoring.features import Observations, features, rule_scores
from scoring.profile import Profile
from training.dataset import Dataset, Source, fingerprint
from training.findings import Column, Findings
from training.table import Columns, Row, read_table
from training.values import count, is_null, moment, yes_or_no

SNAPSHOT_COLUMNS: Final = (
    "email_opens",
    "page_visits",
    "demo_requests",
    "company_headcount",
    "last_activity_at",
    "created_at",
    "email",
    "converted",
)
LEAD_ID: Final = "lead_id"
"""May be there too: rows of one lead are never split. Without it rows with the same e-mail address are one lead."""

_PARSERS: Final[dict[str, Callable[[str], Any]]] = {
    "email_opens": count,
    "page_visits": count,
    "demo_requests": count,
    "company_headcount": count,
    "last_activity_at": moment,
    "created_at": moment,
    "converted": yes_or_no,
}


@dataclass(slots=True)
class _Lead:
    values: dict[str, Any]
    number: int
    line: int


def read_snapshot(
    path: Path, columns: dict[str, str], as_of_ms: int | None, exempt: Collection[str] = ()
) -> tuple[Dataset, Findings]:
    """Reads the snapshot; what is wrong with it is in the findings, for the gates to judge.

    Args:
        path: The CSV file.
        columns: Our column name to the file's, where they differ.
        as_of_ms: The moment that the snapshot shows; None takes the latest time of activity in it (else the latest
            creation), which is the same each time that the file is read.
        exempt: Columns that may be missing: a count is then 0, everything else unknown.

    Raises:
        DataRefusedError: The file is not CSV at all, or not a regular file.
    """
    files, digest = fingerprint([path])
    findings = Findings(columns={name: Column() for name in SNAPSHOT_COLUMNS})
    absent, rows = read_table(path, Columns((*SNAPSHOT_COLUMNS, LEAD_ID), columns))
    findings.absent = [name for name in absent if name in SNAPSHOT_COLUMNS or name in columns]
    numbers: dict[str, int] = {}
    leads = []
    for line, row in rows:
        findings.records += 1
        values = {name: _value(name, row, line, findings) for name in SNAPSHOT_COLUMNS if name != "email"}
        email = _email(row)
        findings.columns["email"].count(email is not None)
        lead_id = row[LEAD_ID]
        identity = f"id {lead_id}" if lead_id and not is_null(lead_id) else f"email {email}" if email else f"row {line}"
        leads.append(_Lead(values, numbers.setdefault(identity, len(numbers)), line))
    moment_ms = _latest(leads) if as_of_ms is None else as_of_ms
    _check_times(leads, moment_ms, findings, given=as_of_ms is not None)
    if absent_exempt := sorted(set(findings.absent) & set(exempt)):
        findings.notes.append(f"without the column{'s' * (len(absent_exempt) > 1)} {', '.join(absent_exempt)}")
    source = Source("snapshot", files, digest, None, None, moment_ms)
    return _dataset(leads, source, findings), findings


def _value(name: str, row: Row, line: int, findings: Findings) -> Any:
    text = row[name]
    if text is None or is_null(text):
        findings.columns[name].count(False)
        return None
    findings.columns[name].count(True)
    try:
        return _PARSERS[name](text)
    except ValueError as error:
        findings.complain(name, str(error), line)
        return None


def _email(row: Row) -> str | None:
    text = (row["email"] or "").strip()
    return text.lower() if "@" in text else None


def _latest(leads: list[_Lead]) -> int | None:
    for name in ("last_activity_at", "created_at"):
        times = [lead.values[name] for lead in leads if lead.values[name] is not None]
        if times:
            return int(max(times))
    return None


def _check_times(leads: list[_Lead], as_of_ms: int | None, findings: Findings, *, given: bool) -> None:
    for lead in leads:
        created, active = lead.values["created_at"], lead.values["last_activity_at"]
        if given and as_of_ms is not None and active is not None and active > as_of_ms:
            findings.complain("last_activity_at", "lies after --as-of", lead.line)
        limits = [time for time in (as_of_ms, active) if time is not None]
        findings.negative_ages += created is not None and any(created > time for time in limits)


def _dataset(leads: list[_Lead], source: Source, findings: Findings) -> Dataset:
    labelled = [lead for lead in leads if lead.values["converted"] is not None]
    if unlabelled := len(leads) - len(labelled):
        findings.left_out["converted is not known"] = unlabelled
    observations = Observations()
    at = source.as_of_ms or 0
    for lead in labelled:
        values = lead.values
        profile = Profile(
            page_visits=values["page_visits"] or 0,
            email_opens=values["email_opens"] or 0,
            demo_requests=values["demo_requests"] or 0,
            company_headcount=values["company_headcount"],
        )
        observations.append(profile, at, values["last_activity_at"])
    matrix = features(observations)
    return Dataset(
        features=matrix,
        rule_scores=rule_scores(observations, matrix),
        labels=np.array([lead.values["converted"] for lead in labelled], dtype=np.int8),
        leads=np.array([lead.number for lead in labelled], dtype=np.int64),
        known_at_ms=None,
        source=source,
    )
