"""A client that stops to fetch and says nothing (librdkafka#5430, librdkafka#5593) is replaced.

The fault cannot be called up: it needs a leader that goes and comes back within a moment. What stands in for it is a
pause of all partitions behind the service's back; everything else is real.
"""

from __future__ import annotations

from pathlib import Path
from threading import Event, Thread

import pytest
from confluent_kafka import TopicPartition
from structlog.testing import capture_logs

from consumer import stalls
from consumer.records import Polled
from consumer.service import Service
from consumer.serving import Serving
from runtime.clock import SystemClock
from scoring.policy import Policy
from tests.faults.scenario import prepare
from tests.faults.traffic import simulate
from tests.invariants import Found, Topics
from tests.kafka import Namespace

ENDS_S = 20.0


def test_a_client_that_stopped_fetching_is_replaced(
    namespace: Namespace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All is processed, once; the log names the partitions."""
    monkeypatch.setattr(stalls, "PATIENCE_S", 2.0)
    environ, settings = prepare(namespace, tmp_path, LEAD_SCORER__HTTP__PORT="0")
    topics, stop = Topics(settings), Event()
    policy, clock = Policy.load(settings.policy.name), SystemClock()
    service = Service(settings, Serving(settings, clock), policy, clock, stop_asked=stop.is_set)
    with capture_logs() as logs:
        running = Thread(target=service.run)
        running.start()
        try:
            simulate(environ, 200, seed=1)
            topics.wait_until_caught_up()
            assert service._parts is not None
            source = service._parts.source
            client, poll, paused = source._consumer, source.poll, Event()

            def poll_of_paused(timeout_s: float, max_records: int) -> Polled:
                # On the thread that polls: from another one the call may take minutes.
                if not paused.is_set():
                    client.pause([TopicPartition(settings.topics.events, number) for number in topics.ends()])
                    paused.set()
                return poll(timeout_s, max_records)

            monkeypatch.setattr(source, "poll", poll_of_paused)
            assert paused.wait(ENDS_S)
            simulate(environ, 200, seed=2)
            topics.wait_until_caught_up()
        finally:
            stop.set()
            running.join(ENDS_S)
    assert not running.is_alive()
    assert service._parts.source._consumer is not client
    (stalled,) = [line for line in logs if line["event"] == "fetch_stalled"]
    assert stalled["partitions"]
    Found(settings).check()
