"""Conversions from a CSV file."""

from pathlib import Path

import pytest

from training.errors import DataRefusedError
from training.findings import Findings
from training.outcomes import read_outcomes


def test_the_first_conversion_of_a_lead_counts(tmp_path: Path) -> None:
    """After it there is nothing left to predict."""
    path = tmp_path / "o.csv"
    path.write_text("lead_id,converted_at\na,2025-01-02T00:00:00Z\na,2025-01-01T00:00:00Z\nb,2025-01-03\n")
    assert read_outcomes(path, Findings()) == {"a": 1735689600000, "b": 1735862400000}


def test_rows_that_cannot_be_read_are_faults_with_their_lines(tmp_path: Path) -> None:
    """A conversion that is lost would be a wrong label."""
    path = tmp_path / "o.csv"
    path.write_text("lead_id,converted_at\na,soon\n,2025-01-01\nc\n")
    findings = Findings()
    assert read_outcomes(path, findings) == {}
    assert sorted(lines for lines in findings.unreadable.values()) == [[2, 4], [3]]


def test_a_file_without_the_columns_is_refused(tmp_path: Path) -> None:
    """By name."""
    path = tmp_path / "o.csv"
    path.write_text("lead,at\n")
    with pytest.raises(DataRefusedError, match=r"o\.csv: has no column lead_id, converted_at"):
        read_outcomes(path, Findings())
