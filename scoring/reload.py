"""Hot reload: follows the alias file of a model directory and offers the model that it names (contract 8)."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Final, NamedTuple, Protocol

from scoring.bundle import (
    MANIFEST_FILE,
    MODEL_FILE,
    BundleError,
    MissingFileError,
    UnreadableFileError,
    load_bundle,
    read_bounded,
)
from scoring.listener import Load
from scoring.manifest import VERSION_PATTERN
from scoring.model import Model

NO_VERSION: Final = "none"
"""In the alias file: the model is out of service."""

_ALIAS_BYTES_MAX: Final = 1024


class _Look(NamedTuple):
    """What the alias file says; equal looks need no second load.

    Attributes:
        version: The version named; None if the alias file does not exist or cannot be used.
        fault: Why it cannot be used, or nothing.
        stamps: Of the bundle's files: time of change, size, inode.
    """

    version: str | None
    fault: str = ""
    stamps: tuple[tuple[int, int, int] | None, ...] = ()


class Slot(Protocol):
    """What takes models: `GuardedScorer`."""

    def offer(self, model: Model | None, absent: str = "no_model") -> None:
        """Serve this model from the next batch on; without one, the rules answer with that reason."""


class Reloader:
    """Watches `<directory>/<alias>` and the bundle that it names; loads, checks and offers on a thread of its own.

    A bundle that is refused leaves the model before in service and is looked at again when one of its files changes; at
    once if it could not be read.

    Args:
        directory: The model directory; need not exist yet.
        alias: The file in it that names the version to serve.
        poll_s: A change is served within this time.
        slot: Takes the models.
        on_load: Told of each load, refusal and removal.
    """

    def __init__(self, directory: Path, alias: str, poll_s: float, slot: Slot, on_load: Callable[[Load], None]) -> None:
        self._directory = directory
        self._alias = alias
        self._interval_s = poll_s / 2  # a change is noticed in half the promised time; the rest is for loading
        self._slot = slot
        self._on_load = on_load
        self._seen: _Look | None = None
        self._unread = ""
        """Why the bundle that was seen last could not be read."""
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="model-reload", daemon=True)
        self.version: str | None = None
        """The version that was loaded last and is in service."""

    def check(self) -> None:
        """Looks once, and loads if something changed; called before `start` for the first model, so that it serves."""
        look = self._look()
        if look == self._seen and not self._unread:
            return
        told, self._seen, self._unread = self._unread, look, ""
        if look.fault:
            self._refuse(None, look.fault)
        elif look.version is None:
            if self.version is None:
                self._slot.offer(None, "no_model")
        elif look.version == NO_VERSION:
            self.version = None
            self._slot.offer(None, "no_model")
            self._on_load(Load("removed", None, ""))
        else:
            self._load(look.version, told)

    def start(self) -> None:
        """Begins to watch."""
        self._thread.start()

    def stop(self, timeout_s: float) -> None:
        """Ends watching; a load under way is waited for at most `timeout_s`."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(timeout_s)

    def _watch(self) -> None:
        while not self._stop.wait(self._interval_s):
            self.check()

    def _load(self, version: str, told: str) -> None:
        try:
            model = Model(load_bundle(self._directory, version))
        except UnreadableFileError as error:
            self._unread = str(error)
            if self._unread != told:
                self._refuse(version, self._unread)
        except BundleError as error:
            self._refuse(version, str(error))
        except Exception as error:  # noqa: BLE001 - whatever a file from outside can cause is a refusal of that file
            self._refuse(version, f"{self._directory / version}: cannot be loaded: {type(error).__name__}: {error}")
        else:
            self.version = version
            self._slot.offer(model)
            self._on_load(Load("loaded", version, model.manifest.sha256))

    def _refuse(self, version: str | None, detail: str) -> None:
        if self.version is None:
            self._slot.offer(None, "bad_model")
        self._on_load(Load("refused", version, detail))

    def _look(self) -> _Look:
        path = self._directory / self._alias
        try:
            named = read_bounded(path, _ALIAS_BYTES_MAX).decode(errors="replace").strip()
        except MissingFileError:
            return _Look(None)
        except BundleError as error:
            return _Look(None, str(error))
        if not re.fullmatch(VERSION_PATTERN, named):
            return _Look(None, f"{path}: names {named[:100]!r}; must be a version or {NO_VERSION}")
        return _Look(
            named, stamps=tuple(_stamp(self._directory / named / name) for name in (MANIFEST_FILE, MODEL_FILE))
        )


def _stamp(path: Path) -> tuple[int, int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ctime_ns, found.st_size, found.st_ino  # a change of rights moves this time alone
