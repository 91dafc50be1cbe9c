"""What proves which data a model was trained on."""

import hashlib
import os
from pathlib import Path

import pytest

from training.dataset import fingerprint
from training.errors import DataRefusedError


def test_the_fingerprint_is_that_of_the_files_one_after_another(tmp_path: Path) -> None:
    """`cat FILES | sha256sum` proves it, and each file has its own."""
    paths = [tmp_path / "a", tmp_path / "b"]
    for path in paths:
        path.write_text(path.name)
    files, together = fingerprint(paths)
    assert together == hashlib.sha256(b"ab").hexdigest()
    assert [(file.name, file.sha256) for file in files] == [(n, hashlib.sha256(n.encode()).hexdigest()) for n in "ab"]


def test_what_cannot_be_read_twice_is_refused(tmp_path: Path) -> None:
    """A pipe that was read has nothing left to hash: the model would be of data that nobody can name."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    for path, kind in ((Path(os.devnull), "a device"), (pipe, "a pipe"), (tmp_path, "a directory")):
        with pytest.raises(DataRefusedError, match=f"{path} is {kind}; must be a regular file"):
            fingerprint([path])


def test_a_path_that_cannot_be_looked_at_is_refused() -> None:
    """As any other that cannot be read."""
    with pytest.raises(DataRefusedError, match="cannot be read: File name too long"):
        fingerprint([Path("x" * 300)])
