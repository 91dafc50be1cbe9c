"""A snapshot becomes rows with the features of contract 5."""

import os
from pathlib import Path
from typing import Any

import pytest

from scoring.features import FEATURES
from tests.unit.training.data import snapshot_rows, with_values, write_csv
from training.errors import DataRefusedError
from training.findings import Findings
from training.snapshot import read_snapshot
from training.values import moment

ROW = {
    "email_opens": "4",
    "page_visits": "10",
    "demo_requests": "1",
    "company_headcount": "800",
    "last_activity_at": "2025-03-01",
    "created_at": "2024-11-05",
    "email": "a@example.com",
    "converted": "true",
}


def findings_of(tmp_path: Path, **values: Any) -> Findings:
    rows = with_values(snapshot_rows(5), 3, values)
    return read_snapshot(write_csv(tmp_path / "s.csv", rows), {}, None)[1]


def test_features_follow_the_contract(tmp_path: Path) -> None:
    """3 x 4 + 5 x 10 + 20 x 1 = 82 points; enterprise weighs 4; 9 days and 23 hours are 9 days."""
    path = write_csv(tmp_path / "s.csv", [ROW])
    dataset, _ = read_snapshot(path, {}, moment("2025-03-10T23:00:00Z"))
    named = dict(zip(FEATURES, dataset.features[0].tolist(), strict=True))
    assert named["engagement_score"] == 8.2
    assert named["weighted_engagement"] == pytest.approx(32.8)
    assert named["days_since_last_activity"] == 9
    assert named["company_size_bucket"] == 2
    assert dataset.rule_scores.tolist() == [0.7]
    assert dataset.labels.tolist() == [1]


def test_columns_may_have_other_names(tmp_path: Path) -> None:
    """`email_opens=Opens` reads the column Opens."""
    row = {("Opens" if name == "email_opens" else name): value for name, value in ROW.items()}
    path = write_csv(tmp_path / "s.csv", [row], row)
    dataset, findings = read_snapshot(path, {"email_opens": "Opens"}, None)
    assert dataset.features[0, 0] == 8.2
    assert findings.absent == []


def test_the_moment_is_that_of_the_latest_activity_unless_given(tmp_path: Path) -> None:
    """The same file gives the same features on any day."""
    path = write_csv(tmp_path / "s.csv", [ROW, {**ROW, "last_activity_at": "2025-03-04", "email": "b@example.com"}])
    dataset, _ = read_snapshot(path, {}, None)
    assert dataset.features[:, 3].tolist() == [3, 0]


@pytest.mark.parametrize("value", ["NaN", "inf", "-3", "lots"])
def test_a_bad_number_is_found_with_its_line(tmp_path: Path, value: str) -> None:
    """It is neither null nor zero."""
    assert list(findings_of(tmp_path, page_visits=value).unreadable.values()) == [[3]]


def test_an_empty_cell_is_missing_and_not_unreadable(tmp_path: Path) -> None:
    """Nulls have their own gate."""
    found = findings_of(tmp_path, page_visits="")
    assert found.unreadable == {}
    assert found.columns["page_visits"].missing == 1


@pytest.mark.parametrize("created", ["2025-03-02", "2099-01-01"])
def test_an_account_created_after_its_activity_is_counted(tmp_path: Path, created: str) -> None:
    """Negative account age, seen without --as-of too."""
    assert findings_of(tmp_path, created_at=created).negative_ages == 1


def test_rows_with_the_same_address_are_one_lead(tmp_path: Path) -> None:
    """Else a lead could stand on both sides of a split; case does not part them."""
    rows = [ROW, {**ROW, "email": "A@example.com"}, {**ROW, "email": ""}, {**ROW, "email": "n/a"}]
    dataset, findings = read_snapshot(write_csv(tmp_path / "s.csv", rows), {}, None)
    assert dataset.leads.tolist() == [0, 0, 1, 2]
    assert findings.columns["email"].missing == 2


def test_rows_without_a_label_are_left_out_and_counted(tmp_path: Path) -> None:
    """Nobody can learn from them."""
    dataset, findings = read_snapshot(write_csv(tmp_path / "s.csv", [ROW, {**ROW, "converted": ""}]), {}, None)
    assert len(dataset) == 1
    assert findings.left_out["converted is not known"] == 1


def test_activity_after_the_given_moment_is_a_fault(tmp_path: Path) -> None:
    """The snapshot cannot be of that date."""
    _, findings = read_snapshot(write_csv(tmp_path / "s.csv", [ROW]), {}, moment("2025-02-01"))
    assert ("last_activity_at", "lies after --as-of") in findings.unreadable


@pytest.mark.parametrize(
    ("content", "reason"),
    [(b"", "is empty"), (b"a,b,a\n1,2,3\n", "more than once"), (b"a,b\n\xff\xfe\n", "not CSV in UTF-8")],
)
def test_what_is_no_table_is_refused_with_its_name(tmp_path: Path, content: bytes, reason: str) -> None:
    """The message names the file and the reason."""
    path = tmp_path / "s.csv"
    path.write_bytes(content)
    with pytest.raises(DataRefusedError, match=reason) as caught:
        read_snapshot(path, {}, None)
    assert "s.csv" in str(caught.value)


def test_a_missing_file_is_refused_with_its_name(tmp_path: Path) -> None:
    """As any other refusal."""
    with pytest.raises(DataRefusedError, match=r"none\.csv cannot be read"):
        read_snapshot(tmp_path / "none.csv", {}, None)


def test_a_snapshot_from_a_pipe_is_refused(tmp_path: Path) -> None:
    """It could not be hashed after it was read."""
    reading, writing = os.pipe()
    os.write(writing, write_csv(tmp_path / "s.csv", [ROW]).read_bytes())
    os.close(writing)
    with pytest.raises(DataRefusedError, match="is a pipe; must be a regular file"):
        read_snapshot(Path(f"/dev/fd/{reading}"), {}, None)
    os.close(reading)
