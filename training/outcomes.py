"""Conversions: which lead converted, and when first."""

from pathlib import Path
from typing import Final

from training.errors import DataRefusedError
from training.findings import Findings
from training.table import Columns, read_table
from training.values import moment

OUTCOME_COLUMNS: Final = ("lead_id", "converted_at")


def read_outcomes(path: Path, findings: Findings) -> dict[str, int]:
    """The first conversion of each lead, in ms since 1970.

    Args:
        path: A CSV file with the columns `lead_id,converted_at`; other columns are not read.
        findings: Takes what cannot be read.

    Raises:
        DataRefusedError: Not CSV, or without the columns.
    """
    absent, rows = read_table(path, Columns(OUTCOME_COLUMNS))
    if absent:
        raise DataRefusedError(
            f"{path}: has no column {', '.join(absent)}; outcomes are CSV with {', '.join(OUTCOME_COLUMNS)}"
        )
    converted: dict[str, int] = {}
    for line, row in rows:
        lead_id, text = row["lead_id"], row["converted_at"]
        if not lead_id:
            findings.complain("lead_id of the outcomes", "is empty", line)
            continue
        try:
            at_ms = moment(text or "")
        except ValueError as error:
            findings.complain("converted_at", str(error), line)
            continue
        converted[lead_id] = min(at_ms, converted.get(lead_id, at_ms))
    return converted
