"""Training's replay of a file gives the features that serving's path through bytes gives for the same events."""

from typing import Any, cast

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from producer.simulation import Parameters, Simulation
from producer.simulation.faults import in_the_line, in_the_record
from schemas.codec import lead_event_codec
from schemas.errors import UndecodableError, UnknownSchemaError
from schemas.ndjson import EventError, format_event, parse_event
from scoring.events import LeadEvent
from scoring.features import DAY_MS, Observations, features, rule_scores
from scoring.fold import Memory, fold
from scoring.gates import gate
from scoring.profile import Profile, pack, unpack
from training.findings import Findings
from training.replay import Line, replay

MEMORY = Memory(dedup_window=32, retention_ms=365 * DAY_MS)
NOW_MS = 1_800_000_000_000


Row = tuple[str, bytes | None, bytes | None]


def simulated() -> list[Row]:
    """Records as lines of a file, and as key and value in the topic."""
    encode = lead_event_codec().encode
    parameters = Parameters(leads=60, events=1500, seed=4, duplicates=0.05, malformed=0.05, late=0.1)
    found: list[Row] = []
    for record in Simulation(parameters).records():
        event, line = record.event, format_event(record.event)
        key, value = event["lead_id"].encode(), encode(event)
        if record.fault:
            found.append((in_the_line(record.fault, line), *in_the_record(record.fault, record.number, key, value)))
        else:
            found.append((line, key, value))
    return found


RECORDS = simulated()


def lines() -> list[Line]:
    parsed: list[Line] = []
    for number, (line, _, _) in enumerate(RECORDS, start=1):
        try:
            parsed.append((number, parse_event(line)))
        except EventError as error:
            parsed.append((number, error))
    return parsed


def served(cuts: set[int]) -> tuple[list[str], np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """The service's way, batch by batch: decode, gate, unpack, fold, pack, features."""
    decode = lead_event_codec().decode
    state: dict[str, bytes] = {}
    ids: list[str] = []
    matrices, rules = [], []
    observations = Observations()
    for offset, (_, key, value) in enumerate(RECORDS):
        if offset in cuts:
            matrices.append(features(observations))
            rules.append(rule_scores(observations, matrices[-1]))
            observations = Observations()
        try:
            event = cast(LeadEvent, decode(value))
        except (UndecodableError, UnknownSchemaError):
            continue
        append_ms = NOW_MS + offset  # of a backfill: long after the events, as the broker would stamp it
        if gate(event, key, append_ms) is not None:
            continue
        packed = state.get(event["lead_id"])
        profile: Profile | None = None if packed is None else unpack(packed)
        folded = fold(profile, event, offset, append_ms, MEMORY)
        if folded is None:
            continue
        state[event["lead_id"]] = pack(folded.profile)
        observations.append(folded.profile, event["occurred_at"], folded.previous_activity_at)
        ids.append(event["event_id"])
    matrices.append(features(observations))
    rules.append(rule_scores(observations, matrices[-1]))
    return ids, np.concatenate(matrices), np.concatenate(rules)


@settings(max_examples=10, deadline=None)
@given(st.sets(st.integers(0, len(RECORDS)), max_size=20))
def test_a_replay_gives_the_features_that_the_service_gives(cuts: set[int]) -> None:
    """To the bit, event by event, with duplicates, late and malformed records, whatever the batches."""
    replayed = replay(lines(), Findings(), now_ms=NOW_MS, until_ms=None, memory=MEMORY)
    matrix = features(replayed.observations)
    ids, expected, rules = served(cuts)
    assert replayed.event_ids == ids
    assert len(ids) > 1300
    np.testing.assert_array_equal(matrix, expected)
    np.testing.assert_array_equal(rule_scores(replayed.observations, matrix), rules)
