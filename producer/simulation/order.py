"""In which order the records are sent: by time, but for late ones, with duplicates and malformed ones between them."""

from dataclasses import dataclass

import numpy as np

from producer.simulation.leads import Floats, Integers
from producer.simulation.parameters import DAY_MS, Parameters

_LATE_MEDIAN_MS = 4 * 3_600_000.0  # a mobile client that was offline, a nightly export
_LATE_MAX_MS = 3.0 * DAY_MS
_AGAIN_MEDIAN_MS = 300_000.0  # a retry, a file imported twice


@dataclass(frozen=True)
class Shares:
    """How many records of each sort there are; `late` ones are among the `clean`."""

    clean: int
    duplicates: int
    malformed: int
    late: int


@dataclass(frozen=True)
class Order:
    """The records in the order in which they are sent.

    Attributes:
        number: Of each record: below `clean` an event's index, from there on a malformed record's.
        at_ms: When each is sent, in ms from the start of the time line.
        late: How many are sent after an event that occurred later.
    """

    number: Integers
    at_ms: Integers
    late: int


def shares(parameters: Parameters) -> Shares:
    """The counts that the parameters ask for; at least one event is clean if there is a duplicate or late one."""
    total = parameters.events
    malformed = round(total * parameters.malformed)
    duplicates = min(round(total * parameters.duplicates), max(total - malformed - 1, 0))
    return Shares(total - malformed - duplicates, duplicates, malformed, round(total * parameters.late))


def arrange(parameters: Parameters, wanted: Shares, occurred_ms: Integers) -> Order:
    """Draws the order.

    Args:
        parameters: The simulation's.
        wanted: How many of each sort.
        occurred_ms: Times of the clean events, rising.
    """
    rng = parameters.stream("order")
    sent, late = _sent(rng, occurred_ms, wanted.late)
    source = _repeated(rng, wanted)
    sent_again = sent[source] + 1 + _lognormal(rng, _AGAIN_MEDIAN_MS, 1.5, len(source))
    spoilt = rng.random(wanted.malformed) * parameters.span_ms
    number = np.concatenate([np.arange(wanted.clean), source, wanted.clean + np.arange(wanted.malformed)])
    at = np.concatenate([sent, sent_again, spoilt]).astype(np.int64)
    is_late = np.zeros(len(number), np.bool_)
    is_late[late] = True
    order = np.lexsort((np.arange(len(number)), is_late, at))
    return Order(number[order], at[order], len(late))


def _sent(rng: np.random.Generator, occurred: Integers, late: int) -> tuple[Floats, Integers]:
    """When clean events are sent, and which are late: each after one on time that occurred later than it."""
    sent = occurred.astype(np.float64)
    candidates = int(np.searchsorted(occurred, occurred[-1])) if len(occurred) else 0
    chosen = (
        np.sort(rng.choice(candidates, min(late, candidates), replace=False)) if candidates else np.empty(0, np.int64)
    )
    on_time = np.delete(occurred, chosen)
    delayed = sent[chosen] + np.minimum(_lognormal(rng, _LATE_MEDIAN_MS, 1.2, len(chosen)), _LATE_MAX_MS)
    overtaken_by = on_time[np.searchsorted(on_time, occurred[chosen], side="right")]
    sent[chosen] = np.maximum(delayed, overtaken_by)
    return sent, chosen


def _repeated(rng: np.random.Generator, wanted: Shares) -> Integers:
    """Which events are sent again: each once, as long as there are enough of them."""
    if not wanted.duplicates:
        return np.empty(0, np.int64)
    return rng.choice(wanted.clean, wanted.duplicates, replace=wanted.duplicates > wanted.clean)


def _lognormal(rng: np.random.Generator, median: float, sigma: float, count: int) -> Floats:
    return np.exp(rng.normal(np.log(median), sigma, count))
