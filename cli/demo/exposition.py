"""Reads the text of /metrics: only as much of the format as the scorer writes."""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass
from typing import Final

_SAMPLE: Final = re.compile(r"(\w+)(?:\{(.*)\})? (\S+)")
_LABEL: Final = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')


@dataclass(frozen=True, slots=True)
class Histogram:
    """Counts of values up to each edge.

    Attributes:
        edges: Upper edges, rising, the last one infinite.
        cumulative: How many values are at most the edge.
    """

    edges: tuple[float, ...] = (float("inf"),)
    cumulative: tuple[float, ...] = (0,)

    @property
    def count(self) -> int:
        """How many values there are."""
        return int(self.cumulative[-1])

    def since(self, earlier: Histogram | None) -> Histogram:
        """What came after an earlier state of the same histogram."""
        if earlier is None or not earlier.count:
            return self
        return Histogram(self.edges, tuple(a - b for a, b in zip(self.cumulative, earlier.cumulative, strict=True)))

    def up_to(self, edge: float) -> int:
        """How many values are at most this edge, which must be one of `edges`."""
        return int(self.cumulative[self.edges.index(edge)])

    def quantile(self, share: float) -> float | None:
        """The value below which this share lies, linear within its bucket, as Prometheus has it; None without values.

        >>> Histogram((1.0, 2.0, float("inf")), (10, 20, 20)).quantile(0.75)
        1.5
        """
        rank, below, low = share * self.count, 0.0, 0.0
        if not self.count:
            return None
        for edge, cumulative in zip(self.edges[:-1], self.cumulative, strict=False):
            if cumulative >= rank:
                return low + (edge - low) * (rank - below) / (cumulative - below) if cumulative > below else low
            below, low = cumulative, edge
        return low


class Exposition:
    r"""The samples of one page.

    >>> page = Exposition('seen_total{by="x",as="1"} 3\nseen_total{by="x",as="2"} 4\nup 1')
    >>> page.by("seen_total", "by"), page.by("seen_total", "by", "as"), page.by("down_total", "by")
    ({('x',): 7.0}, {('x', '1'): 3.0, ('x', '2'): 4.0}, {})
    """

    def __init__(self, text: str) -> None:
        self._samples: dict[str, list[tuple[dict[str, str], float]]] = defaultdict(list)
        for line in text.splitlines():
            if sample := _SAMPLE.fullmatch(line):
                name, labels, value = sample.groups()
                self._samples[name].append((dict(_LABEL.findall(labels or "")), float(value)))

    def by(self, name: str, *labels: str) -> dict[tuple[str, ...], float]:
        """The values of a family, summed by these labels; no labels: the sum, under ()."""
        sums: dict[tuple[str, ...], float] = defaultdict(float)
        for found, value in self._samples.get(name, ()):
            sums[tuple(found[label] for label in labels)] += value
        return dict(sums)

    def histogram(self, name: str) -> Histogram:
        """A histogram without labels."""
        pairs = [(float(found["le"]), value) for found, value in self._samples.get(f"{name}_bucket", ())]
        if not pairs:
            return Histogram()
        edges, cumulative = zip(*sorted(pairs), strict=True)
        return Histogram(edges, cumulative)
