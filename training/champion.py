"""Which version is served: the pointer file, who moved it when, and the way back (contract 8)."""

from __future__ import annotations

import fcntl
import getpass
import json
import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from schemas.times import format_rfc3339
from scoring.bundle import BundleError, Manifest, MissingFileError, load_bundle, read_bounded
from scoring.manifest import VERSION_PATTERN
from training.durable import append_line, replace_text
from training.errors import BundleRefusedError

NONE = "none"
"""In the pointer file: no model is in service, the rules answer."""

HISTORY_FILE = "history.jsonl"
_LOCK_FILE = ".lock"
_POINTER_BYTES_MAX = 4096


@dataclass(frozen=True, slots=True)
class Change:
    """A line of the history: at which time who moved the pointer from where to where."""

    at: str
    by: str
    action: str
    alias: str
    before: str
    after: str


@dataclass(frozen=True, slots=True)
class Version:
    """A bundle in the directory: its manifest, or why it would be refused."""

    name: str
    manifest: Manifest | None
    refused: str | None


class ModelDirectory:
    """A directory of bundles and its pointer file.

    Args:
        path: The directory.
        alias: The name of the pointer file.
    """

    def __init__(self, path: Path, alias: str = "champion") -> None:
        self.path = path
        self.alias = alias

    def champion(self) -> str:
        """The version that the pointer names; `none` also where there is no pointer.

        Raises:
            BundleRefusedError: The pointer cannot be read.
        """
        try:
            return read_bounded(self.path / self.alias, _POINTER_BYTES_MAX).decode(errors="replace").strip()
        except MissingFileError:
            return NONE
        except BundleError as error:
            raise BundleRefusedError(str(error)) from error

    def versions(self) -> list[Version]:
        """Every bundle in the directory, the newest first; hashes are checked.

        Raises:
            BundleRefusedError: The directory is there and cannot be read.
        """
        try:
            names = [entry.name for entry in self.path.iterdir() if entry.is_dir()]
        except FileNotFoundError:
            return []
        except OSError as error:
            raise BundleRefusedError(f"{self.path}: cannot be read: {error.strerror}") from error
        found = [self._version(name) for name in names if re.fullmatch(VERSION_PATTERN, name)]
        return sorted(found, key=_newest_first, reverse=True)

    def load(self, version: str) -> Manifest:
        """The manifest of one version, its model's hash checked.

        Raises:
            BundleRefusedError: There is no such version, or the service would refuse it; the message says which are.
        """
        try:
            return load_bundle(self.path, version).manifest
        except BundleError as error:
            known = [found.name for found in self.versions() if found.manifest]
            there = f"there are {', '.join(known)}" if known else f"there is none in {self.path}; `train` makes one"
            raise BundleRefusedError(f"{error}; {there}") from error

    def promote(self, version: str, *, now_ms: int) -> Change:
        """Makes a version the champion, once it is proven that the service will load it.

        Raises:
            BundleRefusedError: The service would refuse it; the champion stays.
        """
        if version != NONE:
            self._prove(version)
        return self._move("promote", lambda _: version, now_ms)

    def rollback(self, *, now_ms: int) -> Change:
        """Makes the champion before this one champion again; a second rollback goes one further back.

        Raises:
            BundleRefusedError: There was none before, or the service would refuse it.
        """

        def before(champion: str) -> str:
            stack = self._stack(champion)
            if len(stack) < 2:
                raise BundleRefusedError(f"{self.path}: there is no {self.alias} before {champion} to go back to")
            if stack[-2] != NONE:
                self._prove(stack[-2])
            return stack[-2]

        return self._move("rollback", before, now_ms)

    def history(self) -> list[Change]:
        """Every change of this pointer, the oldest first.

        Raises:
            BundleRefusedError: The log cannot be read, or has a line that is none.
        """
        path = self.path / HISTORY_FILE
        try:
            lines = path.read_text("utf-8", errors="replace").splitlines()
        except FileNotFoundError:
            return []
        except OSError as error:
            raise BundleRefusedError(f"{path}: cannot be read: {error.strerror}") from error
        changes = []
        for number, line in enumerate(lines, start=1):
            try:
                entry = json.loads(line)
                change = Change(before=entry.pop("from"), after=entry.pop("to"), **entry)
            except (ValueError, TypeError, KeyError, AttributeError) as error:
                raise BundleRefusedError(
                    f"{path}: line {number} is no change of a pointer; repair or remove it"
                ) from error
            if change.alias == self.alias:
                changes.append(change)
        return changes

    def _stack(self, champion: str) -> list[str]:
        """The champions that can be gone back to, the present one last; a pointer moved by hand counts too."""
        stack: list[str] = []
        for change in self.history():
            if not stack or stack[-1] != change.before:
                stack.append(change.before)
            if change.action == "rollback" and len(stack) > 1:
                stack.pop()
            elif change.after != change.before:
                stack.append(change.after)
        if not stack or stack[-1] != champion:
            stack.append(champion)
        return stack

    def _prove(self, version: str) -> None:
        from scoring.model import Model  # onnxruntime: only where a model is really loaded

        try:
            Model(load_bundle(self.path, version))
        except Exception as error:  # whatever a file from outside can cause is a refusal of that file
            raise BundleRefusedError(f"{version} is refused, {self.alias} stays {self.champion()}: {error}") from error

    def _move(self, action: str, choose: Callable[[str], str], now_ms: int) -> Change:
        with self._locked():
            before = self.champion()
            change = Change(
                at=format_rfc3339(now_ms),
                by=_user(),
                action=action,
                alias=self.alias,
                before=before,
                after=choose(before),
            )
            replace_text(self.path / self.alias, change.after + "\n")
            append_line(self.path / HISTORY_FILE, _line(change))
            return change

    def _version(self, name: str) -> Version:
        try:
            return Version(name, load_bundle(self.path, name).manifest, None)
        except BundleError as error:
            return Version(name, None, str(error))

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Two people who promote at once do so one after the other, so that the history is true."""
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            with (self.path / _LOCK_FILE).open("w") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                yield
        except OSError as error:
            raise BundleRefusedError(f"{self.path} cannot be written: {error.strerror or error}") from error


def _line(change: Change) -> str:
    entry = asdict(change)
    entry["from"], entry["to"] = entry.pop("before"), entry.pop("after")
    return json.dumps(entry)


def _newest_first(version: Version) -> tuple[str, str]:
    return (version.manifest.created_at.isoformat() if version.manifest else "", version.name)


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # a container's user without a name
        return f"uid {os.getuid()}"
