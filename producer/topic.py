"""Is there somebody to send to? Asked before work begins, so that a wrong address is not found out event by event."""

from runtime import kafka, topics
from runtime.config import Settings
from runtime.errors import ConfigurationError


def require_events_topic(settings: Settings, timeout_s: float = kafka.CONNECT_TIMEOUT_S) -> None:
    """Waits until the brokers answer, and makes sure that they have the events topic.

    Raises:
        KafkaUnavailableError: No broker answers in `timeout_s`, or none lets us in; the message names the address.
        ConfigurationError: The topic does not exist; the message names the command that creates it.
    """
    admin = kafka.admin(settings)
    kafka.wait_for_broker(admin, timeout_s)
    topic = settings.topics.events
    if not topics.exists(admin, topic):
        raise ConfigurationError(
            f"No topic {topic} on {settings.kafka.bootstrap_servers}. Create it: lead-scorer topics create"
        )
