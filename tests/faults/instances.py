"""What instances say of themselves, asked from outside."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable

from tests.scorer import Scorer

LAG = "lead_scorer_consumer_lag_records"


def frozen(scorer: Scorer) -> bool:
    """Whether the process stands still (SIGSTOP, by us or by a drill)."""
    return os.waitid(os.P_PID, scorer.pid, os.WSTOPPED | os.WNOHANG | os.WNOWAIT) is not None


def assigned(scorer: Scorer) -> set[int]:
    """The partitions that an instance says it serves; empty while it does not answer."""
    status, body = scorer.get("/status")
    rows = json.loads(body)["assignment"] if status == 200 else []
    return {row["partition"] for row in rows if row["next_offset"] is not None}


def restored(scorer: Scorer) -> set[int]:
    """The partitions whose restore its log tells."""
    return {number for line in scorer.events("restored") for number in line["partitions"]}


def lags(running: Iterable[Scorer]) -> list[float]:
    """The lag in records of each partition that the instances tell one of."""
    return [value for scorer in running for name, value in scorer.metrics().items() if name.startswith(LAG)]
