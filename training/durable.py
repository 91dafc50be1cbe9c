"""Files that are there in full or not at all, also after a power cut."""

import os
import tempfile
from pathlib import Path


def write_synced(path: Path, content: bytes) -> None:
    """Writes a file and waits until the disk has it."""
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def replace_text(path: Path, text: str) -> None:
    """Replaces a file in one step: a reader sees the old text or the new one, never a part."""
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name}-", dir=path.parent)
    os.close(descriptor)
    staged = Path(name)
    try:
        write_synced(staged, text.encode())
        staged.chmod(0o644)  # a temporary file is private; the service may run as another user
        staged.replace(path)
    finally:
        staged.unlink(missing_ok=True)
    sync_directory(path.parent)


def append_line(path: Path, line: str) -> None:
    """Adds a line at the end and waits until the disk has it."""
    with path.open("ab") as file:
        file.write(f"{line}\n".encode())
        file.flush()
        os.fsync(file.fileno())


def sync_directory(path: Path) -> None:
    """Makes names in a directory last, as `fsync` does for contents."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
