"""What tests of several packages share."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.unit.training.small import Small


@pytest.fixture(scope="session")
def small(tmp_path_factory: pytest.TempPathFactory) -> Small:
    """A small model with its data and report, trained once; read only."""
    from tests.unit.training.data import dataset
    from tests.unit.training.small import Small, train_small

    data = dataset(1200)
    report, path = train_small(data, tmp_path_factory.mktemp("models"))
    return Small(data, report, path)
