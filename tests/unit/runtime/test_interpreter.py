"""What is there is spared the garbage collector, what comes is not."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Iterator

import pytest

from runtime.interpreter import settle


class Node:
    """Refers to itself: only the collector can free it."""

    def __init__(self) -> None:
        self.me = self


@pytest.fixture(autouse=True)
def unsettled() -> Iterator[None]:
    """Other tests keep the collector as it was."""
    before = gc.get_threshold()
    yield
    gc.set_threshold(*before)
    gc.unfreeze()


def test_what_is_there_is_never_walked_again() -> None:
    """After settling no object from before is the collector's."""
    lasting = Node()
    settle()
    assert not any(known is lasting for known in gc.get_objects())


def test_later_cycles_are_found() -> None:
    """A cycle that is made afterwards and dropped is freed by a collection."""
    settle()
    later = weakref.ref(Node())
    gc.collect()
    assert later() is None
