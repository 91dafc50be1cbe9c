"""Training and serving agree on the same events, and a decision leads back to what its model was trained on."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import onnx
import pytest
from onnx.reference import ReferenceEvaluator

from runtime.broker import Broker
from runtime.config import Settings, load
from schemas.codec import decision_codec, lead_event_codec
from scoring.features import DAY_MS, FEATURES, features, rule_scores
from scoring.fold import Memory
from scoring.policy import Policy
from tests.faults.scenario import cli
from tests.invariants import Topics
from tests.kafka import Namespace
from tests.scorer import scorers
from training.findings import Findings
from training.replay import read_events, replay

SIMULATED = (
    *("produce", "simulate", "--leads", "400", "--events", "6000", "--seed", "11", "--days", "60"),
    *("--duplicates", "0.05", "--malformed", "0.02", "--late", "0.1"),
)
SMALL = ("--horizon", "7", "--trees", "12", "--min-leaf", "20")


class Served(NamedTuple):
    """A history, the model that was trained on it, and what a service with that model decided on the same events."""

    directory: Path
    settings: Settings
    decisions: list[dict[str, Any]]

    @property
    def history(self) -> Path:
        return self.directory / "history.ndjson"

    @property
    def outcomes(self) -> Path:
        return self.directory / "outcomes.csv"


def lead_scorer(environ: dict[str, str], *arguments: str) -> None:
    done = cli(environ, *arguments)
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def served(kafka: Broker, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """All by the commands that users have; the same arguments simulate the same events for the file and for Kafka."""
    directory = tmp_path_factory.mktemp("served")
    space = Namespace(kafka.bootstrap_servers, "training-and-serving")
    environ = {
        **space.environ(),
        "LEAD_SCORER__TOPICS__PARTITIONS": "4",
        "LEAD_SCORER__MODEL__DIRECTORY": str(directory / "models"),
        "LEAD_SCORER__BUDGET__MAX_BATCH": "173",  # so that leads are cut by batches
        "LEAD_SCORER__BUDGET__INFERENCE_MS": "5000",  # a busy machine is no reason for the rules here
        "LEAD_SCORER__BUDGET__P95_MS": "20000",
    }
    files = ("--to", str(directory / "history.ndjson"), "--outcomes", str(directory / "outcomes.csv"))
    lead_scorer(environ, *SIMULATED, *files)
    data = ("--events", str(directory / "history.ndjson"), "--outcomes", str(directory / "outcomes.csv"))
    lead_scorer(environ, "train", *data, *SMALL, "--promote")
    lead_scorer(environ, "topics", "create")
    lead_scorer(environ, *SIMULATED)
    settings = load(None, environ)
    topics = Topics(settings)
    with scorers(environ, directory, "a", "b") as (first, second):
        first.start()
        second.start()  # takes over half of the partitions, wherever the first one is
        topics.wait_until_caught_up()
        assert (first.stop(), second.stop()) == (0, 0)
    decode = decision_codec().decode
    yield Served(directory, settings, [decode(message.value()) for message in topics.read(settings.topics.decisions)])
    space.delete()


def test_a_replay_computes_the_features_that_the_service_decided_on(served: Served) -> None:
    """To the bit and event by event: there is one definition, whatever the batches and whoever owns the partition."""
    state = served.settings.state
    memory = Memory(state.dedup_window, int(state.retention_days * DAY_MS))
    now_ms = time.time_ns() // 1_000_000
    replayed = replay(read_events(served.history), Findings(), now_ms=now_ms, until_ms=None, memory=memory)
    matrix = features(replayed.observations)
    rows = zip(matrix.tolist(), rule_scores(replayed.observations, matrix).tolist(), strict=True)
    computed = dict(zip(replayed.event_ids, rows, strict=True))
    decided = {d["event_id"]: ([d["features"][name] for name in FEATURES], d["rule_score"]) for d in served.decisions}
    assert len(decided) == len(served.decisions) > 5000
    assert decided == computed


def test_a_decision_leads_to_its_event_and_policy(served: Served) -> None:
    """Topic, partition and offset are those of the event; the policy's version is that of its content."""
    decode = lead_event_codec().decode
    sources = {(m.partition(), m.offset()): m for m in Topics(served.settings).read(served.settings.topics.events)}
    policy_version = Policy.load("default").version
    for decision in served.decisions:
        event = decode(sources[decision["source_partition"], decision["source_offset"]].value())
        assert decision["source_topic"] == served.settings.topics.events
        assert (decision["lead_id"], decision["event_id"]) == (event["lead_id"], event["event_id"])
        assert decision["policy_version"] == policy_version


def test_a_decision_leads_to_the_bundle_that_gives_its_score(served: Served) -> None:
    """`model_version` names a bundle whose manifest names the bytes that score the decision's features as it says."""
    (version,) = {decision["model_version"] for decision in served.decisions}
    bundle = served.settings.model.directory / str(version)
    manifest, model = json.loads((bundle / "manifest.json").read_text()), (bundle / "model.onnx").read_bytes()
    assert (manifest["version"], manifest["sha256"]) == (version, hashlib.sha256(model).hexdigest())
    some = served.decisions[::20]
    rows = np.array([[decision["features"][name] for name in manifest["features"]] for decision in some])
    graph = onnx.load_from_string(model)
    given = {graph.graph.input[0].name: rows.astype(np.float32)}
    evaluator: Any = ReferenceEvaluator(graph)  # ONNX's own, not what serves
    (probabilities,) = evaluator.run(["probabilities"], given)
    published = np.array([decision["score"] for decision in some])
    np.testing.assert_allclose(probabilities[:, 1], published, atol=1e-6)


def test_a_bundle_leads_to_the_data_that_it_was_trained_on(served: Served) -> None:
    """The manifest's fingerprint is the sha256 of the files one after the other, and each file has its own."""
    (version,) = {decision["model_version"] for decision in served.decisions}
    manifest = json.loads((served.settings.model.directory / str(version) / "manifest.json").read_text())
    history, outcomes = served.history.read_bytes(), served.outcomes.read_bytes()
    assert manifest["training"]["fingerprint"] == hashlib.sha256(history + outcomes).hexdigest()
    assert manifest["training"]["files"] == [
        {"name": "history.ndjson", "sha256": hashlib.sha256(history).hexdigest()},
        {"name": "outcomes.csv", "sha256": hashlib.sha256(outcomes).hexdigest()},
    ]
    assert manifest["training"]["horizon"] == 7.0
