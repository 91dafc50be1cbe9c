import pytest

from producer.pace import Even, Pacer, Replay, Schedule, Unpaced
from tests.unit.producer.fakes import FakeClock


def times_of(schedule: Schedule, occurred: list[int], work_s: float = 0.0) -> list[float]:
    clock = FakeClock()
    pacer = Pacer(schedule, clock, clock.sleep)
    times = []
    for at in occurred:
        pacer.hold(at)
        times.append(clock.monotonic() - 1000)
        clock.sleep(work_s)
    return times


def test_a_rate_is_held_whatever_the_work_between_takes() -> None:
    """Time spent on an event is not added to the pause: the schedule does not drift."""
    assert times_of(Even(10), [0] * 4, work_s=0.06) == pytest.approx([0, 0.1, 0.2, 0.3])


def test_what_is_late_catches_up() -> None:
    """After a pause of the broker the count is right again as soon as it can be."""
    clock = FakeClock()
    pacer = Pacer(Even(10), clock, clock.sleep)
    pacer.hold(0)
    clock.sleep(0.35)
    waited = [pacer.hold(0) for _ in range(4)]
    assert waited == [False, False, False, True]
    assert clock.monotonic() - 1000 == pytest.approx(0.4)


def test_a_replay_keeps_the_distances() -> None:
    """An hour apart is a minute apart at 60 times the speed; what comes late comes at once."""
    assert times_of(Replay(60), [0, 3_600_000, 1_000, 7_200_000]) == pytest.approx([0, 60, 60, 120])


def test_without_a_rate_nothing_waits() -> None:
    """As fast as it goes."""
    assert times_of(Unpaced(), [0, 10**9]) == [0, 0]
