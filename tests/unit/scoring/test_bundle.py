"""A bundle is read once, checked, and refused with the file and the reason."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from scoring import bundle
from scoring.bundle import BundleError, UnreadableFileError, load_bundle
from scoring.features import FEATURES
from tests import bundles


def refusal(directory: Path, version: str = "v1") -> str:
    with pytest.raises(BundleError) as refused:
        load_bundle(directory, version)
    return str(refused.value)


def edit(path: Path, **changes: Any) -> None:
    manifest = path / "manifest.json"
    manifest.write_text(json.dumps(json.loads(manifest.read_text()) | changes))


def test_good_bundle_gives_the_bytes_whose_hash_the_manifest_names(tmp_path: Path) -> None:
    """What is loaded later are the bytes that were hashed, not the file again."""
    path = bundles.write_bundle(tmp_path, "v1")
    loaded = load_bundle(tmp_path, "v1")
    assert loaded.model == (path / "model.onnx").read_bytes()
    assert loaded.manifest.version == "v1"


def test_keys_of_a_newer_training_program_are_kept(tmp_path: Path) -> None:
    """A manifest may say more than serving knows."""
    bundles.write_bundle(tmp_path, "v1", approved_by="sales")
    assert load_bundle(tmp_path, "v1").manifest.model_dump()["approved_by"] == "sales"


def test_truncated_model_is_refused(tmp_path: Path) -> None:
    """Bytes that are not those of the manifest's hash are not loaded."""
    path = bundles.write_bundle(tmp_path, "v1") / "model.onnx"
    path.write_bytes(path.read_bytes()[:-1])
    assert refusal(tmp_path).startswith(f"{path}: sha256 is ")


def test_model_of_another_bundle_is_refused(tmp_path: Path) -> None:
    """A sound model under the wrong manifest is refused by its hash."""
    path = bundles.write_bundle(tmp_path, "v1") / "model.onnx"
    path.write_bytes(bundles.trained(seed=1).onnx)
    assert "must be" in refusal(tmp_path)


def test_manifest_of_another_version_is_refused(tmp_path: Path) -> None:
    """A copied directory does not become another version."""
    bundles.write_bundle(tmp_path, "v1").rename(tmp_path / "v2")
    assert refusal(tmp_path, "v2") == f"{tmp_path / 'v2' / 'manifest.json'}: belongs to version v1; must be v2"


@pytest.mark.parametrize("name", ["manifest.json", "model.onnx"])
def test_missing_file_is_named(tmp_path: Path, name: str) -> None:
    """Each of the two files is needed, and named if it is not there."""
    path = bundles.write_bundle(tmp_path, "v1") / name
    path.unlink()
    assert refusal(tmp_path) == f"{path}: missing"


def test_missing_bundle_is_named(tmp_path: Path) -> None:
    """A version that does not exist is a refusal like any other."""
    assert refusal(tmp_path).startswith(f"{tmp_path / 'v1'}: no such bundle")


def test_a_directory_that_cannot_be_looked_at_is_no_missing_bundle(tmp_path: Path) -> None:
    """It may be readable at the next look, so the reload tries again."""
    with pytest.raises(UnreadableFileError, match="cannot be read: File name too long"):
        load_bundle(tmp_path / ("x" * 300), "v1")


@pytest.mark.parametrize("version", ["../v1", "/v1", "", ".v1", "v1\n", "v\x001", "v" * 101])
def test_a_version_is_a_plain_name(tmp_path: Path, version: str) -> None:
    """No version leads out of the model directory."""
    bundles.write_bundle(tmp_path, "v1")
    assert "is not a version" in refusal(tmp_path / "sub", version)


@pytest.mark.parametrize(
    ("name", "limit"), [("manifest.json", "MANIFEST_BYTES_MAX"), ("model.onnx", "MODEL_BYTES_MAX")]
)
def test_oversized_file_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, limit: str) -> None:
    """No more than the limit is read, whatever the file's size."""
    path = bundles.write_bundle(tmp_path, "v1") / name
    monkeypatch.setattr(bundle, limit, path.stat().st_size - 1)
    assert refusal(tmp_path) == f"{path}: larger than {path.stat().st_size - 1} bytes, the limit"


def test_file_of_exactly_the_limit_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The limit is the largest size that is accepted."""
    path = bundles.write_bundle(tmp_path, "v1") / "model.onnx"
    monkeypatch.setattr(bundle, "MODEL_BYTES_MAX", path.stat().st_size)
    assert load_bundle(tmp_path, "v1").model == path.read_bytes()


def test_named_pipe_does_not_hold_the_loader(tmp_path: Path) -> None:
    """What is not a regular file is refused without waiting for it."""
    path = bundles.write_bundle(tmp_path, "v1") / "model.onnx"
    path.unlink()
    os.mkfifo(path)
    assert refusal(tmp_path) == f"{path}: must be a regular file"


def test_directory_in_a_files_place_is_refused(tmp_path: Path) -> None:
    """A directory named like the file is no file."""
    path = bundles.write_bundle(tmp_path, "v1") / "manifest.json"
    path.unlink()
    path.mkdir()
    assert refusal(tmp_path).startswith(f"{path}: ")


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"features": [*FEATURES[:4], "shoe_size"]}, "features are"),
        ({"features": list(FEATURES[:4])}, "features are"),
        ({"features": [*FEATURES, FEATURES[0]]}, "features are"),
        ({"baseline": {}}, "baseline lacks"),
        ({"sample": {"rows": [], "scores": []}}, "sample.rows"),
        ({"sample": {"rows": [[1, 2, 3, 4, 5]], "scores": []}}, "1 rows need as many scores, not 0"),
        ({"sample": {"rows": [[1, 2, 3, 4]], "scores": [0.5]}}, "sample.rows.0.4"),
        ({"sample": {"rows": [[1, 2, 3, 4, float("nan")]], "scores": [0.5]}}, "sample.rows.0.4"),
        ({"sample": {"rows": [[1, 2, 3, 4, 5]], "scores": [1.5]}}, "sample.scores.0"),
        ({"sha256": "ABC"}, "sha256"),
        ({"training": None, "libraries": None}, "libraries"),
        ({"version": "../v1"}, "version"),
    ],
)
def test_unusable_manifest_is_refused_with_the_key(tmp_path: Path, changes: dict[str, Any], reason: str) -> None:
    """A manifest that serving cannot rely on is refused, and the message names the key."""
    path = bundles.write_bundle(tmp_path, "v1")
    edit(path, **changes)
    message = refusal(tmp_path)
    assert message.startswith(f"{path / 'manifest.json'}: ")
    assert reason in message


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff\xfe", b"null"])
def test_manifest_that_is_no_json_object_is_refused(tmp_path: Path, content: bytes) -> None:
    """A broken manifest is a refusal, not a crash."""
    path = bundles.write_bundle(tmp_path, "v1") / "manifest.json"
    path.write_bytes(content)
    assert refusal(tmp_path).startswith(f"{path}: ")


@pytest.mark.parametrize(
    ("distribution", "reason"),
    [
        ({"mean": 1, "edges": [1, 2], "proportions": [0.5, 0.5]}, "one proportion more"),
        ({"mean": 1, "edges": [2, 1], "proportions": [0.2, 0.3, 0.5]}, "edges must rise"),
        ({"mean": 1, "edges": [1], "proportions": [0.2, 0.3]}, "add up to 1"),
    ],
)
def test_baseline_bins_must_fit(tmp_path: Path, distribution: dict[str, Any], reason: str) -> None:
    """Drift is measured against the baseline: its bins have to be bins."""
    path = bundles.write_bundle(tmp_path, "v1")
    edit(path, baseline=dict.fromkeys((*FEATURES, "score"), distribution))
    assert reason in refusal(tmp_path)
