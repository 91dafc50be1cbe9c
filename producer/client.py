"""The producer that upstream systems use."""

import uuid
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self

from producer.codec import event_codec
from producer.errors import DeliveryError
from producer.events import Moment, valid_event
from producer.settings import ProducerSettings
from producer.transport import Client, OnDelivery, Transport
from runtime import kafka
from runtime.clock import Clock, SystemClock


class LeadEventProducer:
    """Sends lead events to Kafka: idempotently, in order per lead, to the partition that Java's clients choose.

    A call queues its event and returns; the brokers answer later. What was not delivered is raised, as a
    `DeliveryError` that names the event ids, by the next call, by `flush` or at the end of the `with` block. To send
    such events again under the same ids is safe: the scorer drops what had arrived after all.

        settings = ProducerSettings(source="website", bootstrap_servers="kafka:9092")
        with LeadEventProducer(settings) as events:
            events.page_visit(lead_id="42", page_url="https://example.com/pricing")

    May be used by several threads.

    Args:
        settings: Where to, under which name, how long to wait.
        on_delivery: Called for each event with its id and its failure or None, from within the calls made here.
        client: A Kafka producer to use instead of one made from the settings; for tests.
        clock: Tells when an event occurred that does not say so.

    Raises:
        ConfigurationError: The Kafka client refuses its properties, or the registry the schema.
        KafkaUnavailableError: The registry does not answer. Brokers may come later, it may not.
    """

    def __init__(
        self,
        settings: ProducerSettings,
        *,
        on_delivery: OnDelivery | None = None,
        client: Client | None = None,
        clock: Clock | None = None,
    ) -> None:
        self._settings = settings
        self._clock = clock or SystemClock()
        self._codec = event_codec(settings)
        self._transport = Transport(
            lambda: kafka.producer(settings.configuration) if client is None else client,  # an idle one has length 0
            settings.topic,
            queue_timeout_s=settings.queue_timeout_s,
            on_delivery=on_delivery,
            clock=self._clock,
        )

    def page_visit(
        self,
        *,
        lead_id: str,
        page_url: str | None = None,
        occurred_at: Moment | None = None,
        event_id: str | None = None,
    ) -> str:
        """The lead looked at a page. As `send` otherwise."""
        return self._send("PAGE_VISIT", lead_id, occurred_at, event_id, page_url=page_url)

    def email_open(self, *, lead_id: str, occurred_at: Moment | None = None, event_id: str | None = None) -> str:
        """The lead opened an e-mail. As `send` otherwise."""
        return self._send("EMAIL_OPEN", lead_id, occurred_at, event_id)

    def demo_request(
        self,
        *,
        lead_id: str,
        page_url: str | None = None,
        occurred_at: Moment | None = None,
        event_id: str | None = None,
    ) -> str:
        """The lead asked for a demonstration. As `send` otherwise."""
        return self._send("DEMO_REQUEST", lead_id, occurred_at, event_id, page_url=page_url)

    def profile_update(
        self,
        *,
        lead_id: str,
        email: str | None = None,
        company_headcount: int | None = None,
        created_at: Moment | None = None,
        occurred_at: Moment | None = None,
        event_id: str | None = None,
    ) -> str:
        """Attributes of the lead became known; None leaves one as it was. As `send` otherwise.

        Args:
            lead_id: Whose they are.
            email: Personal data: the scorer keeps only that there is one.
            company_headcount: People in the lead's company; 0 says that it is not known.
            created_at: When the lead's account was created; not after `occurred_at`.
            occurred_at: When it became known; now if not given.
            event_id: A new one if not given.
        """
        attributes = {"email": email, "company_headcount": company_headcount, "created_at": created_at}
        return self._send("PROFILE_UPDATE", lead_id, occurred_at, event_id, **attributes)

    def send(self, event: Mapping[str, Any]) -> str:
        """Sends an event given by its fields (contract 4).

        Args:
            event: Needs `lead_id` and `event_type`; `event_id`, `occurred_at` and `source` have defaults. Times are
                aware datetimes, RFC 3339 text or integer milliseconds since 1970.

        Returns:
            The event's id.

        Raises:
            InvalidEventError: The scorer would not accept it. Nothing was sent.
            DeliveryError: An earlier event was not delivered, or there was no room in the queue for this one. Where
                the error does not name this event's id, it was not tried: call again.
        """
        return self._transmit(valid_event(event, self._defaults()))

    def flush(self, timeout_s: float | None = None) -> None:
        """Waits until everything sent so far is acknowledged; gives up what is not in time.

        Args:
            timeout_s: How long to wait; `flush_timeout_s` of the settings if not given.

        Raises:
            DeliveryError: Something was not delivered.
        """
        self._transport.flush(self._settings.flush_timeout_s if timeout_s is None else timeout_s)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Flushes; what was not delivered is raised, or added as a note to the error that ended the block."""
        try:
            self.flush()
        except DeliveryError as undelivered:
            if error is None:
                raise
            error.add_note(f"Besides, {undelivered}")

    def _send(
        self, event_type: str, lead_id: str, occurred_at: Moment | None, event_id: str | None, **attributes: Any
    ) -> str:
        given = {"event_type": event_type, "lead_id": lead_id, "occurred_at": occurred_at, "event_id": event_id}
        return self.send({name: value for name, value in {**given, **attributes}.items() if value is not None})

    def _defaults(self) -> dict[str, Any]:
        return {
            "event_id": str(uuid.uuid4()),
            "occurred_at": self._clock.now_ms(),
            "source": self._settings.source,
        }

    def _transmit(self, event: Mapping[str, Any]) -> str:
        event_id: str = event["event_id"]
        self._transport.send(event["lead_id"].encode(), self._codec.encode(event), event_id)
        return event_id
