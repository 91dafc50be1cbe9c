"""The codec for lead events on a producer's topic, ready to write."""

from producer.settings import ProducerSettings
from runtime.errors import ConfigurationError, KafkaUnavailableError
from schemas.codec import Codec, lead_event_codec
from schemas.errors import RegistryRefusedError, RegistryUnavailableError
from schemas.registry import Registry


def event_codec(settings: ProducerSettings) -> Codec:
    """The codec, its schema registered if there is a registry.

    Raises:
        KafkaUnavailableError: The registry does not answer.
        ConfigurationError: The registry refuses the schema, or us.
    """
    if not settings.registry_url:
        return lead_event_codec()
    registry = Registry(settings.registry_url, settings.registry_client)
    codec = lead_event_codec(f"{settings.topic}-value", registry)
    try:
        codec.register()
    except RegistryUnavailableError as error:
        raise KafkaUnavailableError(f"The schema registry does not answer: {error}") from error
    except RegistryRefusedError as error:
        raise ConfigurationError(f"The schema registry refuses the schema of lead events: {error}") from error
    return codec
