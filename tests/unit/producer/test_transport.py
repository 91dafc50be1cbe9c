import pytest
from confluent_kafka import KafkaError

from producer.errors import DeliveryError, DeliveryFailure
from producer.transport import Transport
from tests.unit.producer.fakes import FakeClient, FakeClock, Sent

QUEUE_TIMEOUT_S = 10.0


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def client(clock: FakeClock) -> FakeClient:
    return FakeClient(clock)


@pytest.fixture
def transport(client: FakeClient, clock: FakeClock) -> Transport:
    return Transport(lambda: client, "topic", queue_timeout_s=QUEUE_TIMEOUT_S, clock=clock)


def test_a_record_goes_to_the_topic_as_it_is(transport: Transport, client: FakeClient) -> None:
    """Key and value are the caller's bytes."""
    transport.send(b"key", b"value", "e1")
    assert client.sent == [Sent("topic", b"key", b"value")]


def test_a_failed_delivery_is_raised_by_the_next_call(transport: Transport, client: FakeClient) -> None:
    """The failure comes later than its call, so the next one raises it, by event id and reason."""
    client.fail_with = KafkaError(KafkaError._MSG_TIMED_OUT)
    transport.send(None, b"1", "e1")
    with pytest.raises(DeliveryError, match=r"event e1 was not delivered: .*timed out") as caught:
        transport.send(None, b"2", "e2")
    assert [failure.event_id for failure in caught.value.failures] == ["e1"]


def test_the_call_that_raises_for_another_event_queues_nothing(transport: Transport, client: FakeClient) -> None:
    """So the caller can make the same call again without sending its event twice."""
    client.fail_with = KafkaError(KafkaError._MSG_TIMED_OUT)
    transport.send(None, b"1", "e1")
    client.fail_with = None
    with pytest.raises(DeliveryError):
        transport.send(None, b"2", "e2")
    transport.send(None, b"2", "e2")
    assert [sent.value for sent in client.sent] == [b"1", b"2"]


def test_a_failure_is_raised_once(transport: Transport, client: FakeClient) -> None:
    """Who was told is not told again."""
    client.fail_with = KafkaError(KafkaError._MSG_TIMED_OUT)
    transport.send(None, b"1", "e1")
    client.fail_with = None
    with pytest.raises(DeliveryError):
        transport.flush(1)
    transport.flush(1)


def test_flush_names_every_failure(transport: Transport, client: FakeClient) -> None:
    """All of them, and the message counts those that it does not name."""
    client.answers = False
    for event_id in ("e1", "e2", "e3"):
        transport.send(None, b"", event_id)
    client.answers, client.fail_with = True, KafkaError(KafkaError.TOPIC_AUTHORIZATION_FAILED)
    with pytest.raises(DeliveryError, match=r"e1 .*and 2 more") as caught:
        transport.flush(1)
    assert [failure.event_id for failure in caught.value.failures] == ["e1", "e2", "e3"]


def test_flush_gives_up_what_is_not_acknowledged_in_time(
    transport: Transport, client: FakeClient, clock: FakeClock
) -> None:
    """It waits as long as it was told to, then names what is not delivered."""
    client.answers = False
    transport.send(None, b"", "e1")
    before = clock.monotonic()
    with pytest.raises(DeliveryError) as caught:
        transport.flush(5)
    assert caught.value.failures == (DeliveryFailure("e1", "given up: not delivered in time"),)
    assert 5 <= clock.monotonic() - before < 7


def test_a_full_queue_holds_the_caller_until_there_is_room(
    transport: Transport, client: FakeClient, clock: FakeClock
) -> None:
    """Back-pressure: the call waits for the brokers instead of failing or piling up."""
    client.capacity = 1
    transport.send(None, b"1", "e1")
    client.queue.append(lambda *_: None)  # filled up again by the time of the next call
    transport.send(None, b"2", "e2")
    assert [sent.value for sent in client.sent] == [b"1", b"2"]
    assert clock.monotonic() > 1000


def test_a_queue_that_stays_full_ends_the_call(transport: Transport, client: FakeClient, clock: FakeClock) -> None:
    """The wait is bounded, and the event that found no room is named."""
    client.capacity, client.answers = 0, False
    with pytest.raises(DeliveryError, match=r"event e1 .*no room in the client's queue for 10 s"):
        transport.send(None, b"1", "e1")
    assert clock.monotonic() - 1000 == pytest.approx(QUEUE_TIMEOUT_S, abs=0.5)


def test_what_the_client_refuses_is_raised_at_once(transport: Transport, client: FakeClient) -> None:
    """A record too large for the client needs no broker to be refused."""
    client.refuse = KafkaError(KafkaError.MSG_SIZE_TOO_LARGE)
    with pytest.raises(DeliveryError, match="event e1 "):
        transport.send(None, b"1", "e1")


def test_waiting_serves_delivery_reports(transport: Transport, client: FakeClient) -> None:
    """Between two paced events failures come in and are not lost."""
    client.answers = False
    transport.send(None, b"1", "e1")
    client.answers, client.fail_with = True, KafkaError(KafkaError._MSG_TIMED_OUT)
    transport.wait(1)
    with pytest.raises(DeliveryError):
        transport.send(None, b"2", "e2")


@pytest.mark.parametrize("seconds", [0.0004, 0.0105, 0.2, 0.4507])
def test_waiting_does_not_spin(transport: Transport, client: FakeClient, clock: FakeClock, seconds: float) -> None:
    """A part of a millisecond is waited for as a whole one: the client's own wait of it would be none."""
    before_s = clock.monotonic()
    transport.wait(seconds)
    assert seconds <= clock.monotonic() - before_s < seconds + 0.0011
    assert client.n_polls < 5


def test_the_callback_is_told_of_every_record(client: FakeClient, clock: FakeClock) -> None:
    """Successes too, by event id."""
    told: list[tuple[str, DeliveryFailure | None]] = []
    transport = Transport(
        lambda: client,
        "t",
        queue_timeout_s=1,
        clock=clock,
        on_delivery=lambda event_id, failure: told.append((event_id, failure)),
    )
    transport.send(None, b"1", "e1")
    client.fail_with = KafkaError(KafkaError._MSG_TIMED_OUT)
    transport.send(None, b"2", "e2")
    assert [(event_id, failure is None) for event_id, failure in told] == [("e1", True), ("e2", False)]


class Stuck:
    """A transport whose first client never delivers: one record of it has timed out, another one waits."""

    def __init__(self, clock: FakeClock) -> None:
        self.first, self.second = FakeClient(clock, answers=False), FakeClient(clock)
        clients = iter([self.first, self.second])
        self.transport = Transport(lambda: next(clients), "topic", queue_timeout_s=QUEUE_TIMEOUT_S, clock=clock)
        self.transport.send(None, b"1", "e1")
        self.transport.send(None, b"2", "e2")
        self.first.queue.pop(0)(KafkaError(KafkaError._MSG_TIMED_OUT), None)
        with pytest.raises(DeliveryError, match="e1"):
            self.transport.send(None, b"3", "e3")


def test_after_a_record_timed_out_another_client_sends(clock: FakeClock) -> None:
    """The first may be stuck for good."""
    stuck = Stuck(clock)
    stuck.transport.send(None, b"3", "e3")
    assert [sent.value for sent in stuck.first.sent] == [b"1", b"2"]
    assert [sent.value for sent in stuck.second.sent] == [b"3"]


def test_what_the_first_client_has_is_reported_still(clock: FakeClock) -> None:
    """Delivered or not: each record has its word."""
    stuck = Stuck(clock)
    stuck.transport.send(None, b"3", "e3")
    stuck.first.answers, stuck.first.fail_with = True, KafkaError(KafkaError._MSG_TIMED_OUT)
    with pytest.raises(DeliveryError, match="event e2 was not delivered"):
        stuck.transport.flush(1)


def test_flush_gives_up_what_the_first_client_has_too(clock: FakeClock) -> None:
    """After it has waited for both."""
    stuck = Stuck(clock)
    stuck.transport.send(None, b"3", "e3")
    with pytest.raises(DeliveryError, match="event e2 was not delivered: given up"):
        stuck.transport.flush(1)
    assert not len(stuck.first)


def test_after_a_flush_that_gave_up_another_client_sends(clock: FakeClock) -> None:
    """Who gave up once does not wait for the same client again."""
    first, second = FakeClient(clock, answers=False), FakeClient(clock)
    clients = iter([first, second])
    transport = Transport(lambda: next(clients), "topic", queue_timeout_s=QUEUE_TIMEOUT_S, clock=clock)
    transport.send(None, b"1", "e1")
    with pytest.raises(DeliveryError):
        transport.flush(1)
    transport.send(None, b"1", "e1")
    transport.flush(1)
    assert [sent.value for sent in second.sent] == [b"1"]


def test_what_the_first_client_loses_later_is_not_held_against_the_second(clock: FakeClock) -> None:
    """Else each record that times out would bring another client."""
    stuck = Stuck(clock)
    stuck.transport.send(None, b"3", "e3")
    stuck.first.queue.pop(0)(KafkaError(KafkaError._MSG_TIMED_OUT), None)
    with pytest.raises(DeliveryError, match="e2"):
        stuck.transport.send(None, b"4", "e4")
    stuck.transport.send(None, b"4", "e4")  # a third client is not there
    assert [sent.value for sent in stuck.second.sent] == [b"3", b"4"]
