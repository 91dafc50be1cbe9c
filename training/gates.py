"""The gates before training: each fault says what is wrong, how much of it there is, and what to check."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from scoring.features import FEATURES
from training.dataset import Dataset
from training.errors import DataRefusedError
from training.findings import Findings, lines_in_words

_CHECKS = {
    "email_opens": "the export of e-mail statistics",
    "page_visits": "the export of web statistics",
    "demo_requests": "the export of forms",
    "company_headcount": "the enrichment of companies",
    "last_activity_at": "the export of activity",
    "created_at": "the CRM export",
    "email": "the CRM export, and whether addresses were stripped for privacy (then exempt it)",
    "converted": "how outcomes are joined",
}


_SEVERAL = {"is": "are", "lies": "lie"}


@dataclass(frozen=True, slots=True)
class Limits:
    """What the gates allow; shares are between 0 and 1.

    Attributes:
        email_completeness_min: Rows (leads, in a history) with an e-mail address.
        null_rate_max: Rows (leads) without a value, for each column.
        negative_age_max: Rows (events) with an account created after what it does; None allows none in a snapshot,
            and in a history as many as `rejected_max`: the service drops such events too, so none becomes a row.
        rejected_max: Lines of a history that the service would not accept either.
        mean_shift_max: How far a feature's mean may be from the reference model's before a warning.
        rows_min: Training rows.
        positive_leads_min: Leads that convert; the model is split by lead, so rows of one lead count once.
        exempt: Columns without completeness gates.
    """

    email_completeness_min: float = 0.95
    null_rate_max: float = 0.05
    negative_age_max: float | None = None
    rejected_max: float = 0.05
    mean_shift_max: float = 0.25
    rows_min: int = 200
    positive_leads_min: int = 20
    exempt: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Gate:
    """A gate and what it found, in words."""

    name: str
    passed: bool
    text: str


def check(dataset: Dataset, findings: Findings, limits: Limits) -> list[Gate]:
    """All gates; they have all passed when this returns.

    Raises:
        DataRefusedError: With every gate that failed.
    """
    gates = list(_gates(dataset, findings, limits))
    if faults := [gate.text for gate in gates if not gate.passed]:
        names = ", ".join(file.name for file in dataset.source.files)
        count = "1 gate" if len(faults) == 1 else f"{len(faults)} gates"
        raise DataRefusedError(f"the training data ({names}) failed {count}, nothing was trained:", faults)
    return gates


def mean_shifts(dataset: Dataset, reference: Mapping[str, float], limits: Limits, version: str) -> list[str]:
    """Warnings about features whose mean has moved since the reference model was trained.

    Args:
        dataset: The new rows.
        reference: The mean of each feature in the reference's baseline.
        limits: What is allowed.
        version: The reference's, to name it.
    """
    warnings = []
    for name, mean in zip(FEATURES, dataset.features.mean(axis=0).tolist(), strict=True):
        before = reference.get(name)
        if before is None or before == mean:
            continue
        shift = abs(mean - before) / max(abs(before), 1e-9)
        if shift > limits.mean_shift_max:
            warnings.append(
                f"{name}: mean {mean:.3g} against {before:.3g} when {version} was trained ({shift:.0%} off, "
                f"limit {limits.mean_shift_max:.0%}); check whether counting or sources changed"
            )
    return warnings


def _gates(dataset: Dataset, findings: Findings, limits: Limits) -> Iterator[Gate]:
    yield from _unreadable(findings, limits)
    yield from _rejected(findings, limits)
    yield from _completeness(findings, limits)
    yield _negative_ages(dataset, findings, limits)
    yield _finite(dataset)
    if "converted" not in findings.absent:
        yield from _enough(dataset, findings, limits)


def _unreadable(findings: Findings, limits: Limits) -> Iterator[Gate]:
    for name in findings.absent:
        if name not in limits.exempt:
            yield Gate(
                f"column {name}",
                False,
                f"{name}: the file has no such column; name the one that it has (--column {name}=...)"
                + ("" if name == "converted" else f", or go without (--exempt {name})"),
            )
    for (column, complaint), lines in findings.unreadable.items():
        values = f"{len(lines)} {_plural('value', len(lines))} {_agreeing(complaint, len(lines))}"
        text = f"{column}: {values} ({lines_in_words(lines)}); correct "
        yield Gate(f"values of {column}", False, f"{text}or remove the row{'s' * (len(lines) > 1)}")


def _rejected(findings: Findings, limits: Limits) -> Iterator[Gate]:
    n_rejected = findings.rejected.total()
    if not n_rejected:
        return
    share = n_rejected / findings.records
    reasons = ", ".join(f"{reason} {count}" for reason, count in findings.rejected.most_common())
    yield Gate(
        "lines accepted",
        share <= limits.rejected_max,
        f"{n_rejected} of {findings.records} lines ({share:.1%}) are none that the service would accept "
        f"({reasons}); at most {limits.rejected_max:.1%} (--max-rejected); check the export of the events",
    )


def _completeness(findings: Findings, limits: Limits) -> Iterator[Gate]:
    for name, column in findings.columns.items():
        if name in findings.absent or not column.total:
            continue  # an absent column has its own gate
        missing, total, share = column.missing, column.total, column.missing_share
        if name in limits.exempt:
            yield Gate(f"completeness of {name}", True, f"{name}: exempted; {missing} of {total} missing")
            continue
        if name == "email":
            allowed = 1 - limits.email_completeness_min
            rule = f"at least {limits.email_completeness_min:.1%} present (--min-email-completeness)"
        else:
            allowed, rule = limits.null_rate_max, f"at most {limits.null_rate_max:.1%} missing (--max-null-rate)"
        yield Gate(
            f"completeness of {name}",
            share <= allowed + 1e-12,
            f"{name}: {missing} of {total} missing ({share:.1%}), must be {rule}; check {_CHECKS[name]}; "
            f"--exempt {name} lets it pass",
        )


def _negative_ages(dataset: Dataset, findings: Findings, limits: Limits) -> Gate:
    found, total = findings.negative_ages, findings.records
    is_history = dataset.source.kind == "events"
    allowed = limits.negative_age_max
    if allowed is None:
        allowed = limits.rejected_max if is_history else 0.0
    return Gate(
        "account age",
        found <= allowed * total,
        f"created_at: {found} of {total} {'events' if is_history else 'rows'} have an account created after what it "
        f"does (negative age), at most {allowed:.1%} (--max-negative-age); check time zones and swapped columns",
    )


def _finite(dataset: Dataset) -> Gate:
    bad = int((~np.isfinite(dataset.features)).any(axis=1).sum())
    return Gate("finite features", bad == 0, f"features: {bad} rows have NaN or infinity; this is a fault in the fold")


def _enough(dataset: Dataset, findings: Findings, limits: Limits) -> Iterator[Gate]:
    n_rows, n_positive = len(dataset), dataset.n_positive_leads
    left_out = "".join(f"; {count} {reason} left out" for reason, count in findings.left_out.items())
    hint = "; a shorter --horizon leaves fewer rows out" if dataset.source.kind == "events" else ""
    yield Gate(
        "rows",
        n_rows >= limits.rows_min,
        f"{n_rows} training rows, at least {limits.rows_min} (--min-rows){left_out}{hint}",
    )
    if n_rows and len(np.unique(dataset.labels)) == 1:
        which = "every row converts" if dataset.labels[0] else "no row converts"
        yield Gate("two classes", False, f"converted: one class only, {which}; {_hint(dataset)}")
    else:
        yield Gate(
            "conversions",
            n_positive >= limits.positive_leads_min,
            f"{n_positive} leads convert, at least {limits.positive_leads_min} (--min-positives); {_hint(dataset)}",
        )
        n_other = len(np.unique(dataset.leads[dataset.labels == 0]))
        yield Gate(
            "rows without conversion",
            n_other >= limits.positive_leads_min,
            f"{n_other} leads have rows without conversion, at least {limits.positive_leads_min} (--min-positives); "
            f"{_hint(dataset)}",
        )


def _hint(dataset: Dataset) -> str:
    if dataset.source.kind == "snapshot":
        return "check the column converted"
    return "check that the outcomes use the lead ids of the events, and --horizon"


def _plural(word: str, n: int) -> str:
    return word if n == 1 else word + "s"


def _agreeing(complaint: str, n: int) -> str:
    """A complaint about one value as one about several: is, lies; are, lie."""
    verb, rest = complaint.split(" ", 1)
    return complaint if n == 1 else f"{_SEVERAL.get(verb, verb)} {rest}"


def constant_features(dataset: Dataset) -> Sequence[str]:
    """Warnings about features that say nothing because they are the same in every row."""
    return [
        f"{name} is {column[0]:g} in every row: the model cannot learn from it"
        for name, column in zip(FEATURES, dataset.features.T, strict=True)
        if (column == column[0]).all()
    ]
