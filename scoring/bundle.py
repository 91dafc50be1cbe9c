"""A model bundle on disk: two files that are read once, checked, and from then on believed as bytes (contract 8)."""

from __future__ import annotations

import hashlib
import os
import re
import stat
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from scoring.manifest import VERSION_PATTERN, Manifest

__all__ = [
    "MANIFEST_FILE",
    "MODEL_FILE",
    "Bundle",
    "BundleError",
    "Manifest",
    "MissingFileError",
    "load_bundle",
    "read_bounded",
]

MODEL_FILE = "model.onnx"
MANIFEST_FILE = "manifest.json"

MODEL_BYTES_MAX = 32 * 1024 * 1024
"""A hundred times the default model (200 trees, depth 4: about 0.2 MB); a limit on what a wrong file can cost."""

MANIFEST_BYTES_MAX = 4 * 1024 * 1024
_FAULTS_SHOWN_MAX = 5


class BundleError(Exception):
    """A bundle was refused; the message names the file, what is wrong and what must be. The old model stays."""


class MissingFileError(BundleError):
    """A file is not there."""


class UnreadableFileError(BundleError):
    """A file cannot be read now: a right, a share or a descriptor is missing. Its content is not what is wrong."""


@dataclass(frozen=True, slots=True)
class Bundle:
    """A checked manifest and the very bytes whose hash it names; `source` is the model's path, for messages only."""

    manifest: Manifest
    model: bytes
    source: Path


def load_bundle(directory: Path, version: str) -> Bundle:
    """Read and check `<directory>/<version>`; nothing is executed and the model file is not looked into.

    Raises:
        BundleError: The bundle is refused. Keep what is loaded, and report the message.
    """
    if not re.fullmatch(VERSION_PATTERN, version):
        raise BundleError(f"{directory}: {version[:100]!r} is not a version (letters, digits, dot, dash, underscore)")
    path = directory / version
    if not _is_directory(path):
        raise BundleError(f"{path}: no such bundle; it must be a directory with {MODEL_FILE} and {MANIFEST_FILE}")
    manifest = _parse_manifest(path / MANIFEST_FILE, read_bounded(path / MANIFEST_FILE, MANIFEST_BYTES_MAX))
    if manifest.version != version:
        raise BundleError(f"{path / MANIFEST_FILE}: belongs to version {manifest.version}; must be {version}")
    model = read_bounded(path / MODEL_FILE, MODEL_BYTES_MAX)
    found = hashlib.sha256(model).hexdigest()
    if found != manifest.sha256:
        raise BundleError(
            f"{path / MODEL_FILE}: sha256 is {found}; must be {manifest.sha256} as in {MANIFEST_FILE} "
            "(truncated, replaced, or still being copied)"
        )
    return Bundle(manifest, model, path / MODEL_FILE)


def read_bounded(path: Path, bytes_max: int) -> bytes:
    """The bytes of a regular file of at most `bytes_max` bytes.

    Raises:
        MissingFileError: There is no such file.
        UnreadableFileError: It cannot be read.
        BundleError: It is not a regular file, or is larger.
    """
    try:
        # Opened without blocking: a named pipe in the file's place would hold the caller for ever.
        with open(path, "rb", opener=lambda name, flags: os.open(name, flags | os.O_NONBLOCK)) as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise BundleError(f"{path}: must be a regular file")
            content = file.read(bytes_max + 1)
    except FileNotFoundError:
        raise MissingFileError(f"{path}: missing") from None
    except OSError as error:
        raise UnreadableFileError(f"{path}: cannot be read: {error.strerror}") from error
    if len(content) > bytes_max:
        raise BundleError(f"{path}: larger than {bytes_max} bytes, the limit")
    return content


def _is_directory(path: Path) -> bool:
    """As `Path.is_dir`, which for a path that cannot be looked at raises or says no, as Python's version has it."""
    try:
        return stat.S_ISDIR(path.stat().st_mode)
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError as error:
        raise UnreadableFileError(f"{path}: cannot be read: {error.strerror}") from error


def _parse_manifest(path: Path, content: bytes) -> Manifest:
    try:
        return Manifest.model_validate_json(content)
    except ValidationError as error:
        faults = [
            f"{'.'.join(map(str, fault['loc'])) or 'manifest'}: {fault['msg']}"
            for fault in error.errors(include_url=False, include_input=False)
        ]
        more = f" (and {len(faults) - _FAULTS_SHOWN_MAX} more)" if len(faults) > _FAULTS_SHOWN_MAX else ""
        raise BundleError(f"{path}: {'; '.join(faults[:_FAULTS_SHOWN_MAX])}{more}") from None
