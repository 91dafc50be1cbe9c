"""The cache of pinned files, with a repository that is a function."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from runtime import maven
from runtime.maven import Pin, fetch
from runtime.unavailable import UnavailableError


def pin(name: str, content: bytes) -> Pin:
    return Pin(hashlib.sha256(content).hexdigest(), len(content), f"org.example:{name}:1.0")


PINS = [pin("a", b"aaa"), pin("b", b"bbb")]


class Repository:
    """Stands for jgo: gives each file three letters of its name, and counts."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.spoilt: list[bytes | Exception] = []

    def download(self, pin: Pin, folder: Path, _local: list[Path], advance: Callable[[int], None]) -> Path:
        name = pin.coordinates.split(":")[1]
        self.asked.append(name)
        content = self.spoilt.pop(0) if self.spoilt else 3 * name.encode()
        if isinstance(content, Exception):
            raise content
        folder.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
        advance(len(content))
        return folder / name


@pytest.fixture
def repository(monkeypatch: pytest.MonkeyPatch) -> Repository:
    made = Repository()
    monkeypatch.setattr(maven, "_jgo", made.download)
    monkeypatch.setattr(maven, "BACKOFF_S", 0.0)
    return made


def test_the_folder_holds_exactly_the_pinned_files(repository: Repository, tmp_path: Path) -> None:
    """The first fetch gives a folder with all files and nothing else."""
    folder = fetch("files", PINS, tmp_path)
    assert {file.name: file.read_bytes() for file in folder.iterdir()} == {"a": b"aaa", "b": b"bbb"}
    assert sorted(repository.asked) == ["a", "b"]


def test_the_second_fetch_downloads_nothing(repository: Repository, tmp_path: Path) -> None:
    """What is in the cache is taken from there."""
    first = fetch("files", PINS, tmp_path)
    repository.asked.clear()
    assert fetch("files", PINS, tmp_path) == first
    assert repository.asked == []


def test_other_pins_are_another_folder(repository: Repository, tmp_path: Path) -> None:
    """A changed pin never gives the files of the old one."""
    assert fetch("files", PINS[:1], tmp_path) != fetch("files", PINS, tmp_path)
    assert repository.asked


def test_a_file_that_is_not_the_pinned_one_is_fetched_again(repository: Repository, tmp_path: Path) -> None:
    """A wrong digest, as of a broken download, is tried again."""
    repository.spoilt = [b"aab"]
    folder = fetch("files", PINS[:1], tmp_path)
    assert (folder / "a").read_bytes() == b"aaa"
    assert repository.asked == ["a", "a"]


def test_a_lost_connection_is_tried_again(repository: Repository, tmp_path: Path) -> None:
    """An error of the client is tried again."""
    repository.spoilt = [ConnectionError("reset")]
    assert (fetch("files", PINS[:1], tmp_path) / "a").exists()


def test_a_file_that_never_comes_is_an_error_of_one_line(repository: Repository, tmp_path: Path) -> None:
    """After three attempts the error names the file, and the cache is as it was."""
    repository.spoilt = [ConnectionError("no\nroute")] * maven.ATTEMPTS
    with pytest.raises(UnavailableError, match=r"^org\.example:a:1\.0: ConnectionError: no$"):
        fetch("files", PINS[:1], tmp_path)
    assert [path for path in tmp_path.iterdir() if path.is_dir()] == []
    assert len(repository.asked) == maven.ATTEMPTS


def test_fetches_at_once_download_once(repository: Repository, tmp_path: Path) -> None:
    """Of several that start together one downloads and the others wait for it."""
    with ThreadPoolExecutor(4) as pool:
        folders = {future.result() for future in [pool.submit(fetch, "files", PINS, tmp_path) for _ in range(4)]}
    assert len(folders) == 1
    assert sorted(repository.asked) == ["a", "b"]


@pytest.fixture
def trusted(repository: Repository, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[str | None]:
    """The certificates that are trusted during each download; the system's are in `system.pem`."""
    seen: list[str | None] = []

    def download(pin: Pin, folder: Path, local: list[Path], advance: Callable[[int], None]) -> Path:
        seen.append(os.environ.get("REQUESTS_CA_BUNDLE"))
        return repository.download(pin, folder, local, advance)

    (tmp_path / "system.pem").touch()
    monkeypatch.setattr(maven, "_jgo", download)
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "system.pem"))
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)
    return seen


def test_downloads_trust_whom_the_system_trusts(trusted: list[str | None], tmp_path: Path) -> None:
    """The system's certificates are used for the download, and the environment is as it was after it."""
    fetch("files", PINS[:1], tmp_path)
    assert trusted == [str(tmp_path / "system.pem")]
    assert "REQUESTS_CA_BUNDLE" not in os.environ


def test_certificates_that_the_user_chose_stay(
    trusted: list[str | None], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """REQUESTS_CA_BUNDLE goes over the system's certificates."""
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "own.pem")
    fetch("files", PINS[:1], tmp_path)
    assert trusted == ["own.pem"]
    assert os.environ["REQUESTS_CA_BUNDLE"] == "own.pem"
