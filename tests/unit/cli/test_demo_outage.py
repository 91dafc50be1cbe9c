"""The outage: begun at half of the traffic, ended in time, overcome when the model answers."""

from __future__ import annotations

from cli.demo.outage import Outage, Phase
from cli.demo.plan import Plan
from tests.unit.cli.demo_data import PLAN, moment, sample


def test_it_begins_when_half_of_the_traffic_is_sent() -> None:
    """Not before, and once."""
    outage = Outage(PLAN)
    assert outage.step(499, moment(4.9), traffic_done=False) is None
    assert outage.step(500, moment(5.0), traffic_done=False) == "begin"
    assert outage.step(510, moment(5.1), traffic_done=False) is None
    assert outage.phase is Phase.OUT


def test_it_ends_after_its_time() -> None:
    """Counted from its beginning."""
    outage = Outage(PLAN)
    outage.step(500, moment(5.0), traffic_done=False)
    assert outage.step(690, moment(6.9), traffic_done=False) is None
    assert outage.step(700, moment(7.0), traffic_done=False) == "end"
    assert outage.phase is Phase.RECOVERING


def test_it_ends_with_the_traffic() -> None:
    """Nobody would see more of it."""
    outage = Outage(PLAN)
    outage.step(500, moment(5.0), traffic_done=False)
    assert outage.step(1000, moment(5.5), traffic_done=True) == "end"


def test_it_is_overcome_when_the_breaker_is_closed_and_the_model_answers() -> None:
    """Neither alone: a breaker that never opened is closed, and probes answer while it is half-open."""
    outage = Outage(PLAN)
    outage.step(500, moment(5.0), traffic_done=False)
    outage.step(700, moment(7.0, sample(7.0, 500, 190)), traffic_done=False)
    phases = []
    for found in (
        sample(7.1, 500, 200),
        sample(7.2, 516, 200, breaker="half_open"),
        sample(7.3, 530, 200),
    ):
        outage.step(720, moment(found.at_s, found), traffic_done=False)
        phases.append(outage.phase)
    assert phases == [Phase.RECOVERING, Phase.RECOVERING, Phase.OVER]
    assert outage.recovered is not None
    assert outage.recovered.at_s == 7.3


def test_a_plan_without_one_has_none() -> None:
    """Whatever is sent."""
    outage = Outage(Plan(events=10, rate=10.0, outage_s=0.0, open_s=1.0))
    assert outage.step(10, moment(1.0), traffic_done=True) is None
    assert outage.phase is Phase.BEFORE
