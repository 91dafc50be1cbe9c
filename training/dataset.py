"""Training rows: what the model learns from, and where they come from."""

from __future__ import annotations

import hashlib
import stat
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from training.errors import DataRefusedError

_KINDS: Final = {stat.S_IFDIR: "a directory", stat.S_IFIFO: "a pipe", stat.S_IFSOCK: "a socket"}


@dataclass(frozen=True, slots=True)
class SourceFile:
    """A file that was read: its name without the path, and the sha256 of its bytes in hex."""

    name: str
    sha256: str


@dataclass(frozen=True, slots=True)
class Source:
    """Where the rows come from.

    Attributes:
        kind: `events` or `snapshot`.
        files: What was read, in the order in which `fingerprint` takes them.
        fingerprint: sha256 of the files' bytes one after another, so that `cat FILES | sha256sum` proves it.
        horizon_days: Within how many days a conversion counts; None for a snapshot, which has its own label.
        period_ms: First and last time of the data in ms since 1970; None where the data have no times.
        as_of_ms: Until when outcomes are known; for a snapshot the moment that it shows.
    """

    kind: str
    files: tuple[SourceFile, ...]
    fingerprint: str
    horizon_days: float | None
    period_ms: tuple[int, int] | None
    as_of_ms: int | None


@dataclass(frozen=True, slots=True)
class Dataset:
    """Rows with features, labels and the lead that each belongs to.

    Attributes:
        features: `(n, 5) float64`, columns as in `scoring.features.FEATURES`.
        rule_scores: `(n,) float64`: what the rules give to the same rows.
        labels: `(n,) int8`: 1 for a conversion.
        leads: `(n,) int64`: a number per lead; splits never part a lead's rows.
        known_at_ms: `(n,) int64`: when the row could first be known; None for a snapshot.
        source: Where the rows come from.
    """

    features: NDArray[np.float64]
    rule_scores: NDArray[np.float64]
    labels: NDArray[np.int8]
    leads: NDArray[np.int64]
    known_at_ms: NDArray[np.int64] | None
    source: Source

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def n_leads(self) -> int:
        """How many leads the rows belong to."""
        return len(np.unique(self.leads))

    @property
    def n_positive_leads(self) -> int:
        """How many leads have a row with a conversion."""
        return len(np.unique(self.leads[self.labels == 1]))

    def take(self, rows: NDArray[np.intp] | NDArray[np.bool_]) -> Dataset:
        """The chosen rows, in their order."""
        return replace(
            self,
            features=self.features[rows],
            rule_scores=self.rule_scores[rows],
            labels=self.labels[rows],
            leads=self.leads[rows],
            known_at_ms=None if self.known_at_ms is None else self.known_at_ms[rows],
        )

    def sample(self, rows_max: int, seed: int) -> Dataset:
        """At most about `rows_max` rows: whole leads, drawn at random, so that what is left is as it was."""
        if len(self) <= rows_max:
            return self
        leads, counts = np.unique(self.leads, return_counts=True)
        order = np.random.default_rng(seed).permutation(len(leads))
        chosen = order[: np.searchsorted(np.cumsum(counts[order]), rows_max, side="right")]
        return self.take(np.isin(self.leads, leads[chosen]))


def fingerprint(paths: Sequence[Path]) -> tuple[tuple[SourceFile, ...], str]:
    """The sha256 of each file, and of all their bytes one after another.

    To be called before the files are read for their data: what can be read only once is refused here.

    Raises:
        DataRefusedError: A file cannot be read, or is not a regular one.
    """
    together = hashlib.sha256()
    files = []
    for path in paths:
        alone = hashlib.sha256()
        try:
            _require_regular(path)
            with path.open("rb") as file:
                while block := file.read(1 << 20):
                    alone.update(block)
                    together.update(block)
        except OSError as error:
            raise DataRefusedError(f"{path} cannot be read: {error.strerror}") from error
        files.append(SourceFile(path.name, alone.hexdigest()))
    return tuple(files), together.hexdigest()


def _require_regular(path: Path) -> None:
    """The bytes of a pipe are gone once they are read: nobody could prove later what a model was trained on."""
    form = stat.S_IFMT(path.stat().st_mode)
    if form != stat.S_IFREG:
        raise DataRefusedError(f"{path} is {_KINDS.get(form, 'a device')}; must be a regular file: it is read twice")
