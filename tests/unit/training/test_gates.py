"""The gates fail loudly, all together, and let through what an option allows."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from scoring.features import FEATURES
from tests.unit.training.data import dataset, snapshot_rows, write_csv
from training.errors import DataRefusedError
from training.findings import Column, Findings
from training.gates import Limits, check, constant_features, mean_shifts
from training.snapshot import read_snapshot


def refusal(tmp_path: Path, rows: list[dict[str, Any]], limits: Limits | None = None) -> DataRefusedError:
    data, findings = read_snapshot(write_csv(tmp_path / "s.csv", rows), {}, None)
    with pytest.raises(DataRefusedError) as caught:
        check(data, findings, limits or Limits())
    return caught.value


def test_sound_data_pass(tmp_path: Path) -> None:
    """No gate fails on a complete snapshot."""
    data, findings = read_snapshot(write_csv(tmp_path / "s.csv", snapshot_rows()), {}, None)
    assert all(gate.passed for gate in check(data, findings, Limits()))


def test_all_faults_are_said_at_once(tmp_path: Path) -> None:
    """Missing addresses, missing headcounts, a NaN and a negative age: four lines of one refusal."""
    rows = snapshot_rows()
    for row in rows[:30]:
        row["email"] = ""
        row["company_headcount"] = ""
    rows[50]["page_visits"] = "nan"
    rows[51]["created_at"] = "2025-06-01"
    faults = refusal(tmp_path, rows).faults
    assert len(faults) == 4
    text = "\n".join(faults)
    assert "email: 30 of 300 missing (10.0%)" in text
    assert "company_headcount: 30 of 300 missing (10.0%)" in text
    assert "page_visits: 1 value is NaN or infinite (line 52)" in text
    assert "1 of 300 rows have an account created after" in text


def test_several_bad_values_of_a_column_are_one_fault(tmp_path: Path) -> None:
    """With the lines of all."""
    rows = snapshot_rows()
    for number in (50, 60):
        rows[number]["page_visits"] = "inf"
    (fault,) = refusal(tmp_path, rows).faults
    assert fault == "page_visits: 2 values are NaN or infinite (lines 52, 62); correct or remove the rows"


def test_five_percent_missing_pass_and_one_more_fails(tmp_path: Path) -> None:
    """The limit itself is allowed."""
    rows = snapshot_rows()
    for row in rows[:15]:
        row["email"] = row["created_at"] = ""
    data, findings = read_snapshot(write_csv(tmp_path / "s.csv", rows), {}, None)
    check(data, findings, Limits())
    rows[15]["email"] = rows[15]["created_at"] = ""
    assert len(refusal(tmp_path, rows).faults) == 2


def test_exempted_columns_may_be_missing(tmp_path: Path) -> None:
    """By name, and only those."""
    rows = [{**row, "email": "", "created_at": ""} for row in snapshot_rows()]
    (fault,) = refusal(tmp_path, rows, Limits(exempt=frozenset({"email"}))).faults
    assert fault.startswith("created_at: 300 of 300 missing")


def test_an_absent_column_names_the_options(tmp_path: Path) -> None:
    """Map it, or go without it."""
    rows = snapshot_rows()
    header = [name for name in rows[0] if name != "demo_requests"]
    rows = [{name: row[name] for name in header} for row in rows]
    data, findings = read_snapshot(write_csv(tmp_path / "s.csv", rows, header), {}, None)
    with pytest.raises(DataRefusedError, match=r"--column demo_requests=.*--exempt demo_requests"):
        check(data, findings, Limits())
    check(data, findings, Limits(exempt=frozenset({"demo_requests"})))


@pytest.mark.parametrize("converted", ["true", "false"])
def test_one_class_only_is_refused(tmp_path: Path, converted: str) -> None:
    """There is nothing to tell apart."""
    rows = [{**row, "converted": converted} for row in snapshot_rows()]
    assert "one class only" in refusal(tmp_path, rows).faults[0]


def test_too_few_rows_and_conversions_are_refused(tmp_path: Path) -> None:
    """Both at once, with the options that set the limits."""
    text = str(refusal(tmp_path, snapshot_rows(30)))
    assert "30 training rows, at least 200 (--min-rows)" in text
    assert "(--min-positives)" in text


def test_no_rows_at_all_are_refused(tmp_path: Path) -> None:
    """A header alone is too few rows, not a crash."""
    assert "0 training rows" in str(refusal(tmp_path, []))


def test_too_many_rejected_lines_are_refused_with_their_reasons() -> None:
    """A bad export is not trained on."""
    findings = Findings(records=100)
    findings.rejected.update({"not_json": 6})
    with pytest.raises(DataRefusedError, match=r"6 of 100 lines.*not_json 6"):
        check(dataset(), findings, Limits())


def test_negative_ages_of_a_history_are_events_that_the_service_drops_too() -> None:
    """Few are let through, since none becomes a row; a limit may be set."""
    findings = Findings(records=1000, negative_ages=3)
    check(dataset(), findings, Limits())
    with pytest.raises(DataRefusedError, match="3 of 1000 events have an account created after"):
        check(dataset(), findings, Limits(negative_age_max=0.0))


def test_without_the_label_nothing_is_said_about_its_values() -> None:
    """One fault for one cause."""
    with pytest.raises(DataRefusedError) as caught:
        check(dataset().take(np.array([], dtype=np.intp)), Findings(absent=["converted"]), Limits())
    (fault,) = caught.value.faults
    assert "--column converted=" in fault


def test_infinite_features_are_refused() -> None:
    """Whatever let them in."""
    data = dataset()
    data.features[3, 0] = np.inf
    with pytest.raises(DataRefusedError, match="1 rows have NaN or infinity"):
        check(data, Findings(), Limits())


def test_a_shifted_mean_warns_and_does_not_refuse() -> None:
    """Over 25 % off the mean that the reference was trained on."""
    data = dataset()
    before = dict(zip(FEATURES, data.features.mean(axis=0).tolist(), strict=True))
    assert mean_shifts(data, before, Limits(), "v1") == []
    before["engagement_score"] *= 2
    (warning,) = mean_shifts(data, before, Limits(), "v1")
    assert "engagement_score" in warning
    assert "50% off" in warning


def test_a_feature_that_never_varies_is_named() -> None:
    """It cannot help, and often means a column that is not filled."""
    data = dataset()
    features = data.features.copy()
    features[:, 4] = -1
    assert constant_features(data) == []
    assert constant_features(replace(data, features=features)) == [
        "company_size_bucket is -1 in every row: the model cannot learn from it"
    ]


def test_a_column_without_values_counts_as_complete() -> None:
    """Nothing was counted: the rows' own gate speaks."""
    assert Column().missing_share == 0
