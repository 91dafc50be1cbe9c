"""The model that the alias file names is served soon after; what is refused changes nothing."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from scoring.bundle import Bundle, UnreadableFileError, load_bundle
from scoring.listener import Load
from scoring.model import Model
from scoring.reload import Reloader
from tests import bundles


class Bench:
    """A reloader over a directory, the slot that it offers to, and what it told."""

    def __init__(self, directory: Path, poll_s: float = 2) -> None:
        self.directory = directory / "models"
        self.served: tuple[str | None, str] = (None, "nothing offered")
        self.loads: list[Load] = []
        self.threads: set[str] = set()
        self.reloader = Reloader(self.directory, "champion", poll_s, self, self.loads.append)

    def offer(self, model: Model | None, absent: str = "no_model") -> None:
        self.served = (None, absent) if model is None else (model.version, "")
        self.threads.add(threading.current_thread().name)

    def promote(self, version: str) -> None:
        bundles.promote(self.directory, version)

    def check(self) -> tuple[str | None, str]:
        self.reloader.check()
        return self.served


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    made = Bench(tmp_path)
    bundles.write_bundle(made.directory, "v1")
    bundles.write_bundle(made.directory, "v2", seed=1)
    return made


def eventually(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < end, "it never came to be"
        time.sleep(0.001)


def test_promoted_model_is_served(bench: Bench) -> None:
    """The version that the alias names is loaded, offered and told, with the hash of its model."""
    bench.promote("v1")
    assert bench.check() == ("v1", "")
    (load,) = bench.loads
    assert (load.result, load.version, len(load.detail)) == ("loaded", "v1", 64)


def test_first_look_is_before_the_first_event(bench: Bench) -> None:
    """`check` serves without the watching thread: a service starts with its model."""
    bench.promote("v1")
    assert bench.check() == ("v1", "")
    assert bench.threads == {threading.current_thread().name}


def test_missing_directory_is_no_model(tmp_path: Path) -> None:
    """Before anything was trained the rules answer with `no_model`, and nothing is told as a fault."""
    bench = Bench(tmp_path)
    assert bench.check() == (None, "no_model")
    assert bench.loads == []


def test_model_is_picked_up_when_it_appears(tmp_path: Path) -> None:
    """A service that started without a model serves one as soon as there is one."""
    bench = Bench(tmp_path)
    bench.check()
    bundles.write_bundle(bench.directory, "v1")
    bench.promote("v1")
    assert bench.check() == ("v1", "")


def test_unchanged_alias_loads_nothing(bench: Bench) -> None:
    """A look that finds nothing new costs a few stat calls."""
    bench.promote("v1")
    for _ in range(5):
        bench.check()
    assert len(bench.loads) == 1


def test_next_version_replaces(bench: Bench) -> None:
    """Promotion and rollback are the same thing."""
    for version in ("v1", "v2", "v1"):
        bench.promote(version)
        assert bench.check() == (version, "")


def test_none_takes_the_model_out(bench: Bench) -> None:
    """After `none` the rules answer with `no_model`; the next promotion serves again."""
    bench.promote("v1")
    bench.check()
    bench.promote("none")
    assert bench.check() == (None, "no_model")
    assert bench.loads[-1] == Load("removed", None, "")
    bench.promote("v1")
    assert bench.check() == ("v1", "")


def damage(bench: Bench) -> None:
    path = bench.directory / "v2" / "model.onnx"
    path.write_bytes(path.read_bytes()[:-100])


def drop_manifest(bench: Bench) -> None:
    (bench.directory / "v2" / "manifest.json").unlink()


@pytest.mark.parametrize(
    ("spoil", "version", "reason"),
    [
        (damage, "v2", "model.onnx: sha256 is"),
        (drop_manifest, "v2", "manifest.json: missing"),
        (lambda _: None, "v3", "v3: no such bundle"),
        (lambda _: None, "../v2", "champion: names '../v2'; must be a version or none"),
        (lambda _: None, "", "champion: names ''"),
    ],
)
def test_refused_bundle_leaves_the_old_model(
    bench: Bench, spoil: Callable[[Bench], None], version: str, reason: str
) -> None:
    """The reason is told once, naming the file, and what was served is served on."""
    bench.promote("v1")
    bench.check()
    spoil(bench)
    bench.promote(version)
    for _ in range(3):
        assert bench.check() == ("v1", "")
    (load,) = bench.loads[1:]
    assert load.result == "refused"
    assert reason in load.detail
    assert bench.reloader.version == "v1"


def test_refused_bundle_without_an_old_model_is_a_bad_model(bench: Bench) -> None:
    """With nothing loaded the rules answer with `bad_model`, after `none` as well."""
    bench.promote("v3")
    assert bench.check() == (None, "bad_model")
    bench.promote("v1")
    bench.check()
    bench.promote("none")
    bench.check()
    bench.promote("v3")
    assert bench.check() == (None, "bad_model")


def test_bundle_that_becomes_whole_is_loaded(bench: Bench) -> None:
    """A bundle that was promoted while still being copied is served when it is complete."""
    path = bench.directory / "v2" / "model.onnx"
    content = path.read_bytes()
    path.write_bytes(content[:1000])
    bench.promote("v2")
    assert bench.check() == (None, "bad_model")
    path.write_bytes(content)
    assert bench.check() == ("v2", "")


def away(directory: Path, version: str) -> Bundle:
    raise UnreadableFileError(f"{directory / version}: cannot be read: Stale file handle")


def test_bundle_that_cannot_be_read_is_tried_again(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """A share that is away comes back without a file of it being changed; it is told once until then."""
    monkeypatch.setattr("scoring.reload.load_bundle", away)
    bench.promote("v1")
    assert [bench.check() for _ in range(3)] == [(None, "bad_model")] * 3
    assert [load.result for load in bench.loads] == ["refused"]
    monkeypatch.setattr("scoring.reload.load_bundle", load_bundle)
    assert [bench.check() for _ in range(2)] == [("v1", "")] * 2
    assert [load.result for load in bench.loads] == ["refused", "loaded"]


def test_bundle_that_cannot_be_read_is_forgotten_for_another(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Once the alias names something else nothing is tried again."""
    monkeypatch.setattr("scoring.reload.load_bundle", away)
    bench.promote("v1")
    bench.check()
    bench.promote("no version")
    for _ in range(2):
        bench.check()
    assert len(bench.loads) == 2


def test_bundle_whose_rights_change_is_looked_at_again(bench: Bench) -> None:
    """A file that was copied with mode 0600 is served once it may be read."""
    path = bench.directory / "v1" / "model.onnx"
    bench.promote("v1")
    bench.check()
    path.chmod(0o600)
    bench.check()
    assert [load.result for load in bench.loads] == ["loaded", "loaded"]


def test_lost_alias_leaves_the_model(bench: Bench) -> None:
    """Only `none` takes a model out: a vanished alias file, or directory, does not."""
    bench.promote("v1")
    bench.check()
    (bench.directory / "champion").unlink()
    assert bench.check() == ("v1", "")


def test_alias_that_is_no_file_is_refused(bench: Bench) -> None:
    """A directory in the alias' place is told, and nothing else."""
    (bench.directory / "champion").mkdir()
    assert bench.check() == (None, "bad_model")
    assert "champion" in bench.loads[0].detail


def test_unforeseen_failure_is_a_refusal(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever loading raises is told as a refusal of that bundle; watching goes on."""

    def fails(*_: object) -> None:
        raise MemoryError("no room")

    monkeypatch.setattr("scoring.reload.load_bundle", fails)
    bench.promote("v1")
    assert bench.check() == (None, "bad_model")
    assert "v1: cannot be loaded: MemoryError: no room" in bench.loads[0].detail


def test_watching_loads_on_its_own_thread(tmp_path: Path) -> None:
    """A promotion is noticed without anybody asking, and never loaded by the loop's thread."""
    bench = Bench(tmp_path, poll_s=0.01)
    bundles.write_bundle(bench.directory, "v1")
    bench.reloader.start()
    bench.promote("v1")
    eventually(lambda: bench.served == ("v1", ""))
    bench.reloader.stop(timeout_s=10)
    assert bench.threads == {"model-reload"}


def test_change_is_served_within_the_poll_time(bench: Bench) -> None:
    """From promotion to service it takes at most `poll_s`: half for noticing, half for loading."""
    bench.promote("v1")
    begun = time.monotonic()
    bench.check()
    assert bench.reloader._interval_s + (time.monotonic() - begun) < 2


def test_stopped_reloader_watches_no_more(tmp_path: Path) -> None:
    """After `stop` the thread has ended, also if it was never started."""
    bench = Bench(tmp_path, poll_s=0.01)
    bench.reloader.stop(timeout_s=10)
    bench = Bench(tmp_path, poll_s=0.01)
    bench.reloader.start()
    bench.reloader.stop(timeout_s=10)
    assert not bench.reloader._thread.is_alive()
