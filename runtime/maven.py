"""Pinned files of Maven's central repository, kept in a cache that parallel programs share.

The only importer of jgo, which knows where that repository is. jgo writes straight into its target and only warns
about a wrong checksum; here every file goes through a scratch folder and is checked against its pin, and the set
appears whole or not at all.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import ssl
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

from runtime.unavailable import UnavailableError

ATTEMPTS = 3  # downloads of one file; a central repository drops a connection now and then
BACKOFF_S = 1.0  # before the second attempt, twice that before the third
TIMEOUT_S = 30  # without an answer
WORKERS = 8  # downloads at once: most files are small, the wait is for the round trips


class Pin(NamedTuple):
    """One file: its digest, its size, and its name in the repository."""

    sha256: str
    size_bytes: int
    coordinates: str  # group:artifact:version
    classifier: str = ""
    packaging: str = "jar"


def cache_folder() -> Path:
    """The folder of the user's cache that is ours (`XDG_CACHE_HOME`, else `~/.cache`)."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache", "lead-scorer")


def read_pins(text: str) -> list[Pin]:
    """The pins of a text with `<sha256> <size in bytes> <group>:<artifact>:<version>` a line.

    >>> read_pins("ab12  7  org.example:thing:1.0")[0].coordinates
    'org.example:thing:1.0'
    """
    rows = (line.split() for line in text.splitlines() if line.strip())
    return [Pin(sha256, int(size), coordinates) for sha256, size, coordinates in rows]


def fetch(what: str, pins: Sequence[Pin], cache: Path | None = None) -> Path:
    """The folder that holds exactly the pinned files; downloads them the first time, with a progress bar on stderr.

    Args:
        what: What a person calls these files; stands before the progress bar.
        pins: The files.
        cache: Where the folder is kept, by default `cache_folder()`.

    Raises:
        UnavailableError: No jgo, no network, or a file that is not the pinned one.
    """
    cache = cache or cache_folder()
    folder = cache / hashlib.sha256(repr(list(pins)).encode()).hexdigest()[:16]  # other pins are another folder
    if folder.is_dir():
        return folder
    cache.mkdir(parents=True, exist_ok=True)
    with _locked(folder.with_suffix(".lock")):
        if not folder.is_dir():  # else another program has fetched it while this one waited
            with tempfile.TemporaryDirectory(dir=cache) as scratch:
                made = Path(scratch, "files")
                made.mkdir()
                _download(what, pins, Path(scratch), made)
                made.rename(folder)
    return folder


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            Console(stderr=True).print("Waiting for another program that downloads the same files")
            fcntl.flock(file, fcntl.LOCK_EX)  # the kernel releases it when its holder ends, however it ends
        yield


def _download(what: str, pins: Sequence[Pin], scratch: Path, target: Path) -> None:
    console = Console(stderr=True)
    total = sum(pin.size_bytes for pin in pins)
    console.print(f"Downloading {what} ({total / 1e6:.0f} MB, kept in {target.parent.parent})", highlight=False)
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn())
    progress = Progress(*columns, TransferSpeedColumn(), TimeRemainingColumn(), console=console)
    with _system_certificates(), progress, ThreadPoolExecutor(WORKERS) as pool:
        task = progress.add_task(what, total=total)

        def one(pin: Pin) -> None:
            shutil.copy(_resolve(pin, scratch, lambda size: progress.advance(task, size)), target)

        list(pool.map(one, pins))
        progress.update(task, completed=total)


@contextmanager
def _system_certificates() -> Iterator[None]:
    """Lets jgo's HTTP client trust whom the system trusts, as pip does: a company's own authority is only there."""
    paths = ssl.get_default_verify_paths()
    hashed = paths.capath if paths.capath and any(Path(paths.capath).glob("*.0")) else None
    trusted = paths.cafile or hashed
    if trusted is None or {"REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"} & set(os.environ):
        yield
        return
    os.environ["REQUESTS_CA_BUNDLE"] = trusted
    try:
        yield
    finally:
        del os.environ["REQUESTS_CA_BUNDLE"]


def _resolve(pin: Pin, scratch: Path, advance: Callable[[int], None]) -> Path:
    """The file in the user's Maven repository if it is the pinned one there, else downloaded."""
    mavens_own = Path(os.environ.get("M2_REPO") or Path.home() / ".m2" / "repository")
    fault = ""
    for attempt in range(ATTEMPTS):
        repository = scratch / f"attempt-{attempt}"
        try:
            file = _jgo(pin, repository, [] if attempt else [mavens_own], advance)
        except ImportError:
            raise UnavailableError("jgo is not installed (the extra 'broker' brings it)") from None
        except Exception as error:  # noqa: BLE001 - jgo lets through what its HTTP client and the disk raise
            fault = f"{pin.coordinates}: {type(error).__name__}: {error}".splitlines()[0][:300]
        else:
            if hashlib.sha256(file.read_bytes()).hexdigest() == pin.sha256:
                return file
            fault = f"{pin.coordinates}: not the pinned file (sha256 differs)"
        if attempt + 1 < ATTEMPTS:
            time.sleep(BACKOFF_S * 2**attempt)
    raise UnavailableError(fault)


def _jgo(pin: Pin, repository: Path, local: list[Path], advance: Callable[[int], None]) -> Path:
    # Imported here: an optional dependency, and 0.2 s of a start that does not need it.
    from jgo.maven import MavenContext, PythonResolver

    @contextmanager
    def report(_name: str, _size: int) -> Iterator[Callable[[int], None]]:
        yield advance

    group, name, version = pin.coordinates.split(":")
    context = MavenContext(PythonResolver(progress_callback=report), repository, local, timeout=TIMEOUT_S)
    component = context.project(group, name).at_version(version)
    return Path(component.artifact(classifier=pin.classifier, packaging=pin.packaging).resolve())
