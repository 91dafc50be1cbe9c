"""The pointer to the model that is served, and who moved it."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.unit.training.small import Small
from training.champion import ModelDirectory
from training.errors import BundleRefusedError


@pytest.fixture
def models(small: Small, tmp_path: Path) -> ModelDirectory:
    """A directory with the versions a, b and c."""
    for name in ("a", "b", "c"):
        copy(small, tmp_path / name)
    return ModelDirectory(tmp_path)


def copy(small: Small, target: Path) -> None:
    shutil.copytree(small.path, target)
    manifest = json.loads((target / "manifest.json").read_text())
    (target / "manifest.json").write_text(json.dumps({**manifest, "version": target.name}))


def test_promoting_moves_the_pointer_and_says_who_did_it(
    models: ModelDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One line in the history for each change."""
    monkeypatch.setenv("LOGNAME", "jo")
    models.promote("a", now_ms=0)
    assert (models.path / "champion").read_text() == "a\n"
    (line,) = (models.path / "history.jsonl").read_text().splitlines()
    assert json.loads(line) == {
        "at": "1970-01-01T00:00:00.000Z",
        "by": "jo",
        "action": "promote",
        "alias": "champion",
        "from": "none",
        "to": "a",
    }


def test_a_bundle_that_the_service_would_refuse_is_not_promoted(models: ModelDirectory) -> None:
    """The champion stays, and the message says why."""
    models.promote("a", now_ms=0)
    model = models.path / "b" / "model.onnx"
    model.write_bytes(model.read_bytes()[:-1])
    with pytest.raises(BundleRefusedError, match=r"b is refused, champion stays a: .*sha256"):
        models.promote("b", now_ms=1)
    assert models.champion() == "a"
    assert len(models.history()) == 1


def test_a_sample_that_does_not_reproduce_is_not_promoted(models: ModelDirectory) -> None:
    """The hash is right and the model is another: only scoring shows it."""
    path = models.path / "b" / "manifest.json"
    manifest = json.loads(path.read_text())
    manifest["sample"]["scores"][0] = 0.999
    path.write_text(json.dumps(manifest))
    with pytest.raises(BundleRefusedError, match="sample"):
        models.promote("b", now_ms=0)


@pytest.mark.parametrize("version", ["d", "../a", "", ".lock"])
def test_what_is_no_version_is_not_promoted(models: ModelDirectory, version: str) -> None:
    """Nor a path out of the directory."""
    with pytest.raises(BundleRefusedError, match="champion stays none"):
        models.promote(version, now_ms=0)
    assert not (models.path / "champion").exists()


def test_rolling_back_goes_back_step_by_step(models: ModelDirectory) -> None:
    """a, b, c: back to b, back to a; the way forward is a promotion."""
    for version in ("a", "b", "c"):
        models.promote(version, now_ms=0)
    assert models.rollback(now_ms=1).after == "b"
    assert models.rollback(now_ms=2).after == "a"
    models.promote("c", now_ms=3)
    assert models.rollback(now_ms=4).after == "a"
    assert [change.action for change in models.history()] == [
        *["promote"] * 3,
        *["rollback"] * 2,
        "promote",
        "rollback",
    ]


def test_rolling_back_from_none_brings_the_model_back(models: ModelDirectory) -> None:
    """Taking the model out of service is a change like any other."""
    models.promote("a", now_ms=0)
    models.promote("none", now_ms=1)
    assert models.champion() == "none"
    assert models.rollback(now_ms=2).after == "a"


def test_promoting_the_champion_again_is_no_step_to_go_back(models: ModelDirectory) -> None:
    """Rollback after a, b, b is a."""
    for version in ("a", "b", "b"):
        models.promote(version, now_ms=0)
    assert models.rollback(now_ms=1).after == "a"


def test_a_pointer_moved_by_hand_is_gone_back_from(models: ModelDirectory) -> None:
    """The history does not know of c, the way back from it is still the champion before."""
    models.promote("a", now_ms=0)
    models.promote("b", now_ms=1)
    (models.path / "champion").write_text("c\n")
    assert models.rollback(now_ms=2).after == "b"


def test_there_is_no_way_back_from_the_beginning(models: ModelDirectory) -> None:
    """It says so and changes nothing."""
    with pytest.raises(BundleRefusedError, match="no champion before none"):
        models.rollback(now_ms=0)
    assert not (models.path / "champion").exists()


def test_rolling_back_to_a_broken_bundle_is_refused(models: ModelDirectory) -> None:
    """The champion stays."""
    models.promote("a", now_ms=0)
    models.promote("b", now_ms=1)
    shutil.rmtree(models.path / "a")
    with pytest.raises(BundleRefusedError, match="a is refused, champion stays b"):
        models.rollback(now_ms=2)
    assert models.champion() == "b"


def test_a_failure_before_the_last_step_leaves_the_old_pointer(
    models: ModelDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A full disk: the file is complete or the old one, and nothing else is left behind."""
    models.promote("a", now_ms=0)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("training.durable.os.fsync", full)
    with pytest.raises(BundleRefusedError, match="No space left"):
        models.promote("b", now_ms=1)
    assert models.champion() == "a"
    assert not [entry for entry in models.path.iterdir() if entry.name.startswith(".champion")]


def test_the_list_shows_the_newest_first_and_the_refused_with_their_reason(models: ModelDirectory) -> None:
    """What is no bundle directory is not shown."""
    manifest = json.loads((models.path / "b" / "manifest.json").read_text())
    (models.path / "b" / "manifest.json").write_text(json.dumps({**manifest, "created_at": "2030-01-01T00:00:00Z"}))
    (models.path / "c" / "manifest.json").unlink()
    (models.path / ".new-x").mkdir()
    found = models.versions()
    assert [version.name for version in found] == ["b", "a", "c"]
    assert "missing" in (found[2].refused or "")


def test_a_damaged_history_is_named_with_its_line(models: ModelDirectory) -> None:
    """Nothing is guessed."""
    models.promote("a", now_ms=0)
    with (models.path / "history.jsonl").open("a") as file:
        file.write("{}\n")
    with pytest.raises(BundleRefusedError, match="line 2"):
        models.rollback(now_ms=1)


def test_other_pointers_have_their_own_way_back(models: ModelDirectory) -> None:
    """`model.alias` names another file; the histories share one log."""
    models.promote("a", now_ms=0)
    other = ModelDirectory(models.path, "challenger")
    other.promote("b", now_ms=1)
    assert other.rollback(now_ms=2).after == "none"
    assert models.champion() == "a"


def test_a_user_without_a_name_is_a_number(models: ModelDirectory, monkeypatch: pytest.MonkeyPatch) -> None:
    """As in many containers."""

    def nameless() -> str:
        raise KeyError("uid not found")

    monkeypatch.setattr("training.champion.getpass.getuser", nameless)
    assert models.promote("a", now_ms=0).by.startswith("uid ")


@pytest.mark.parametrize(
    "ask", [ModelDirectory.champion, ModelDirectory.versions, ModelDirectory.history, lambda models: models.load("a")]
)
def test_a_directory_that_cannot_be_looked_at_is_refused(
    tmp_path: Path, ask: Callable[[ModelDirectory], object]
) -> None:
    """Nobody may take it for one without models."""
    with pytest.raises(BundleRefusedError, match="cannot be read: File name too long"):
        ask(ModelDirectory(tmp_path / ("x" * 300)))


def test_a_directory_that_is_not_there_has_no_models(tmp_path: Path) -> None:
    """It is made by the first training."""
    models = ModelDirectory(tmp_path / "none")
    assert (models.champion(), models.versions(), models.history()) == ("none", [], [])
