"""The codec for lead events on a producer's topic, ready to write."""

from producer.settings import ProducerSettings
from runtime.errors import ConfigurationError, KafkaUnavailableError
from schemas.codec import Codec, lead_event_codec
from schemas.errors import RegistryRefusedError, RegistryUnavailableError


def event_codec(settings: ProducerSettings) -> Codec:
    """The codec, its schema registered if there is a registry.

    Raises:
        KafkaUnavailableError: The registry does not answer.
        ConfigurationError: The registry refuses the schema, or its client a property.
    """
    if not settings.registry_url:
        return lead_event_codec()
    from schemas.registry import Registry  # its HTTP client takes long to import

    try:
        with Registry(settings.registry_url, settings.registry_client) as registry:
            codec = lead_event_codec(f"{settings.topic}-value", registry)
            codec.register()  # all that writing needs of it
    except RegistryUnavailableError as error:
        raise KafkaUnavailableError(f"The schema registry does not answer: {error}") from error
    except (RegistryRefusedError, ValueError) as error:
        raise ConfigurationError(f"The schema registry cannot be used: {error}") from error
    return codec
