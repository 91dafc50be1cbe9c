"""The metrics of contract 9: one call for a batch, counters from 0, gauges absent until known.

prometheus_client's own classes expose an unlabelled gauge from its creation and observe one value at a time; so the
values live here, and one collector shows them.
"""

from collections.abc import Iterator, Sequence
from itertools import product
from threading import Lock
from typing import Literal, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray
from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.registry import Collector

from runtime import metric_families as families
from runtime.clock import Clock, SystemClock
from runtime.latency_window import LatencyWindow
from runtime.metric_families import Family

CONTENT_TYPE = CONTENT_TYPE_PLAIN_0_0_4
Labels = tuple[str, ...]
MetricFamily = CounterMetricFamily | GaugeMetricFamily | HistogramMetricFamily


class _Values(Protocol):
    """The values of one family."""

    def family(self) -> MetricFamily: ...


class Counters:
    """A counter family; its label sets are closed, an unknown one is a programmer's error (KeyError)."""

    def __init__(self, of: Family, values_of_label: Sequence[Sequence[str]]):
        self._of = of
        self._counts: dict[Labels, int] = dict.fromkeys(product(*values_of_label), 0)

    def add(self, labels: Labels, n: int) -> None:
        """Adds n."""
        self._counts[labels] += n

    def by_label(self) -> dict[Labels, int]:
        """A copy of the counts."""
        return dict(self._counts)

    def family(self) -> CounterMetricFamily:
        """For the exposition."""
        shown = CounterMetricFamily(self._of.name, self._of.meaning, labels=list(self._of.labels))
        for labels, count in self._counts.items():
            shown.add_metric(labels, count)
        return shown


class Gauges:
    """A gauge family: a value is absent until it is set and after it was dropped."""

    def __init__(self, of: Family):
        self._of = of
        self._values: dict[Labels, float] = {}

    def set(self, value: float, labels: Labels = ()) -> None:
        """Sets one value."""
        self._values[labels] = value

    def drop(self, labels: Labels = ()) -> None:
        """Forgets one value."""
        self._values.pop(labels, None)

    def clear(self) -> None:
        """Forgets all values."""
        self._values.clear()

    def family(self) -> GaugeMetricFamily:
        """For the exposition."""
        shown = GaugeMetricFamily(self._of.name, self._of.meaning, labels=list(self._of.labels))
        for labels, value in self._values.items():
            shown.add_metric(labels, value)
        return shown


class BatchHistogram:
    """A histogram family that takes a whole batch in one call."""

    def __init__(self, of: Family, label_values: Sequence[str] = ()):
        self._of = of
        self._edges = np.asarray(of.edges, dtype=np.float64)
        children: list[Labels] = [(value,) for value in label_values] or [()]
        self._counts = {labels: np.zeros(len(of.edges) + 1, dtype=np.int64) for labels in children}
        self._sums = dict.fromkeys(self._counts, 0.0)

    def observe(self, values: ArrayLike, labels: Labels = ()) -> None:
        """Adds values, (n,) or a single one; a bucket holds what is at most its edge."""
        array = np.atleast_1d(np.asarray(values, dtype=np.float64))
        indices = np.searchsorted(self._edges, array, side="left")
        self._counts[labels] += np.bincount(indices, minlength=len(self._edges) + 1)
        self._sums[labels] += float(array.sum())

    def family(self) -> HistogramMetricFamily:
        """For the exposition."""
        shown = HistogramMetricFamily(self._of.name, self._of.meaning, labels=list(self._of.labels))
        names = [*(str(float(edge)) for edge in self._of.edges), "+Inf"]
        for labels, counts in self._counts.items():
            cumulative = counts.cumsum().tolist()
            shown.add_metric(labels, list(zip(names, cumulative, strict=True)), self._sums[labels])
        return shown


class Metrics(Collector):
    """What the loop reports, once for a batch and only after its commit (contract 9).

    Args:
        decisions: All decisions that the policy can give: their counters stand at 0 from the start.
        clock: For the minute of `latency_percentiles_ms`.
    """

    def __init__(self, decisions: Sequence[str], clock: Clock | None = None):
        self._clock = clock or SystemClock()
        self._lock = Lock()
        self._window = LatencyWindow()
        self._events = _counters(families.EVENTS)
        self._decisions = Counters(families.DECISIONS, [decisions, families.SCORED_BY])
        self._actions = Counters(families.ACTIONS, [decisions])
        self._latency = BatchHistogram(families.LATENCY)
        self._stage = BatchHistogram(families.STAGE, families.STAGES)
        self._batch = BatchHistogram(families.BATCH)
        self._fallbacks = _counters(families.FALLBACKS)
        self._breaker = Gauges(families.BREAKER)
        self._dead_letters = _counters(families.DEAD_LETTERS)
        self._errors = _counters(families.ERRORS)
        self._transactions = _counters(families.TRANSACTIONS)
        self._rebalances = _counters(families.REBALANCES)
        self._lag_records = Gauges(families.LAG_RECORDS)
        self._lag_seconds = Gauges(families.LAG_SECONDS)
        self._state_leads = Gauges(families.STATE_LEADS)
        self._restore = Gauges(families.RESTORE)
        self._model_info = Gauges(families.MODEL_INFO)
        self._model_loads = _counters(families.MODEL_LOADS)
        self._score = BatchHistogram(families.SCORE)
        self._gate_ratio = Gauges(families.GATE_RATIO)
        self._registry = CollectorRegistry()
        self._registry.register(self)
        for process_metrics in (ProcessCollector, PlatformCollector, GCCollector):
            process_metrics(registry=self._registry)

    # What a committed batch gave.

    def count_events(self, result: str, n: int = 1) -> None:
        """Counts input records by result: `scored`, `duplicate`, `dead_letter`."""
        with self._lock:
            self._events.add((result,), n)

    def count_decisions(self, decision: str, scored_by: str, n: int = 1) -> None:
        """Counts decisions; `scored_by` as in the schema: `MODEL`, `RULES`."""
        with self._lock:
            self._decisions.add((decision, scored_by), n)

    def count_actions(self, decision: str, n: int = 1) -> None:
        """Counts decisions published to their action topic."""
        with self._lock:
            self._actions.add((decision,), n)

    def count_fallbacks(self, reason: str, n: int = 1) -> None:
        """Counts decisions by rules, by their `fallback_reason`."""
        with self._lock:
            self._fallbacks.add((reason,), n)

    def count_dead_letters(self, reason: str, n: int = 1) -> None:
        """Counts dead letters by reason (contract 5, and `internal_error`)."""
        with self._lock:
            self._dead_letters.add((reason,), n)

    def observe_latencies(self, seconds: NDArray[np.float64]) -> None:
        """Adds the latencies of a batch's decisions, append to commit: (n,) seconds."""
        with self._lock:
            self._latency.observe(seconds)
            self._window.add(seconds, self._clock.monotonic())

    def observe_scores(self, scores: NDArray[np.float64]) -> None:
        """Adds the scores that the model gave: (n,)."""
        with self._lock:
            self._score.observe(scores)

    def observe_batch(self, records: int) -> None:
        """Adds the size of a transaction."""
        with self._lock:
            self._batch.observe(records)

    def observe_stage(self, stage: str, seconds: float) -> None:
        """Adds the time that a batch spent in a stage."""
        with self._lock:
            self._stage.observe(seconds, (stage,))

    # What happened.

    def count_errors(self, kind: str, n: int = 1) -> None:
        """Counts faults by what was done about them."""
        with self._lock:
            self._errors.add((kind,), n)

    def count_transactions(self, result: Literal["committed", "aborted"], n: int = 1) -> None:
        """Counts ended transactions."""
        with self._lock:
            self._transactions.add((result,), n)

    def count_rebalances(self, kind: Literal["assigned", "revoked", "lost"], n: int = 1) -> None:
        """Counts changes of the assignment."""
        with self._lock:
            self._rebalances.add((kind,), n)

    def count_model_loads(self, result: Literal["loaded", "refused"], n: int = 1) -> None:
        """Counts attempts to load a model."""
        with self._lock:
            self._model_loads.add((result,), n)

    # How things stand.

    def set_lag(self, partition: int, records: int, seconds: float) -> None:
        """Sets a partition's lag."""
        with self._lock:
            self._lag_records.set(records, (str(partition),))
            self._lag_seconds.set(seconds, (str(partition),))

    def drop_partition(self, partition: int) -> None:
        """Forgets the lag of a partition that is no longer assigned."""
        with self._lock:
            self._lag_records.drop((str(partition),))
            self._lag_seconds.drop((str(partition),))

    def set_state_leads(self, leads: int) -> None:
        """Sets the number of leads in memory."""
        with self._lock:
            self._state_leads.set(leads)

    def set_restore_seconds(self, seconds: float) -> None:
        """Sets the duration of the last restore."""
        with self._lock:
            self._restore.set(seconds)

    def set_breaker_state(self, state: str) -> None:
        """Sets the breaker's state: `closed`, `half_open`, `open`."""
        with self._lock:
            self._breaker.set(families.BREAKER_STATES.index(state))

    def set_model(self, version: str | None, alias: str) -> None:
        """Tells which model is loaded; None: none is."""
        with self._lock:
            self._model_info.clear()
            if version is not None:
                self._model_info.set(1, (version, alias))

    def set_gate_ratio(self, gate: str, ratio: float | None) -> None:
        """Sets a stream gate's ratio; None: not enough has been seen."""
        assert gate in families.GATES, gate
        with self._lock:
            if ratio is None:
                self._gate_ratio.drop((gate,))
            else:
                self._gate_ratio.set(ratio, (gate,))

    # For those who ask.

    def counts(self) -> dict[str, int]:
        """Events by result, for /status."""
        with self._lock:
            return {labels[0]: count for labels, count in self._events.by_label().items()}

    def decision_counts(self) -> dict[tuple[str, str], int]:
        """Decisions by decision and scorer, for the live view."""
        with self._lock:
            return {(labels[0], labels[1]): count for labels, count in self._decisions.by_label().items()}

    def latency_percentiles_ms(self) -> dict[str, float | None]:
        """p50, p95 and p99 of the last minute in milliseconds; None without events."""
        with self._lock:
            return self._window.percentiles_ms(self._clock.monotonic())

    def exposition(self) -> bytes:
        """The page of /metrics, of the type `CONTENT_TYPE`."""
        return generate_latest(self._registry)

    def collect(self) -> Iterator[MetricFamily]:
        """All families that have a value, in the order of contract 9; the interface to prometheus_client."""
        shown: tuple[_Values, ...] = (
            self._events,
            self._decisions,
            self._actions,
            self._latency,
            self._stage,
            self._batch,
            self._fallbacks,
            self._breaker,
            self._dead_letters,
            self._errors,
            self._transactions,
            self._rebalances,
            self._lag_records,
            self._lag_seconds,
            self._state_leads,
            self._restore,
            self._model_info,
            self._model_loads,
            self._score,
            self._gate_ratio,
        )
        with self._lock:
            collected = [values.family() for values in shown]
        yield from (family for family in collected if family.samples)


def _counters(of: Family) -> Counters:
    return Counters(of, list(of.labels.values()))
