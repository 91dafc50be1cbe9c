"""A schema registry with Confluent's API."""

import re
import time
from collections.abc import Callable, Mapping
from typing import Any, Final, Self, TypeVar

from confluent_kafka.schema_registry import Schema, SchemaRegistryClient
from confluent_kafka.schema_registry.error import SchemaRegistryError

from schemas.errors import RegistryRefusedError, RegistryUnavailableError, UnknownSchemaError, UnresolvableError

__all__ = ["Registry", "RegistryRefusedError", "RegistryUnavailableError", "UnknownSchemaError"]

_Answer = TypeVar("_Answer")

_CREDENTIALS: Final = re.compile(r"//(?:(?!,\w+://)\S)+@")
_UNKNOWN_ID: Final = (404, 40403)  # a 404 without this code is a proxy's, or a wrong path
_RETRIABLE: Final = (408, 429)
_UNKNOWN_FOR_S: Final = 10.0  # a producer may register its schema a moment after its first record was seen
_UNKNOWN_MAX: Final = 20_000  # garbage that looks like frames must not fill the memory; a batch is not asked for twice
_LEAST: Final = {"timeout": 0.001, "max.retries": 0, "retries.wait.ms": 0, "retries.max.wait.ms": 0}
"""Of the numbers that the client does not judge before they fail every question."""
_CLIENT: Final[Mapping[str, Any]] = {
    "timeout": 5.0,  # seconds; the client's own default is none, and the caller has a poll interval to keep
    "max.retries": 0,  # the caller retries, and says so; the client would do it silently for 20 s
}


class Registry:
    """Schemas by id, and ids by schema.

    The client keeps the schemas that it got, as an id never changes its meaning; that an id is unknown is believed for
    10 s.

    Args:
        url: `http(s)://...`; several with commas between.
        client: Properties passed through to `SchemaRegistryClient` (TLS, authentication, timeouts).
        monotonic: A clock in seconds.

    Raises:
        ValueError: A property is unknown or wrong; refuse to start.
    """

    def __init__(
        self, url: str, client: Mapping[str, Any] | None = None, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._shown = _CREDENTIALS.sub("//", url)  # without them: messages go to the log
        properties = {**_CLIENT, **(client or {}), "url": url}
        for name, least in _LEAST.items():
            if not isinstance(given := properties.get(name, least), int | float) or given < least:
                raise ValueError(f"{name} = {given!r}; must be a number of at least {least}")
        try:
            self._client = SchemaRegistryClient.new_client(properties)
        except Exception as error:  # what a property that is wrong causes depends on the property
            raise ValueError(str(error)) from error
        self._monotonic = monotonic
        self._unknown_until: dict[int, float] = {}

    def schema_by_id(self, schema_id: int) -> str:
        """The text of an Avro schema.

        Raises:
            UnknownSchemaError: The registry says that it has no schema with this id.
            UnresolvableError: The schema is not Avro.
            RegistryUnavailableError: It says nothing: wait, then ask again.
        """
        if self._unknown_until.get(schema_id, 0.0) > self._monotonic():
            raise _unknown(schema_id)
        try:
            schema = self._ask(lambda: self._client.get_schema(schema_id))
        except SchemaRegistryError as error:
            if (error.http_status_code, error.error_code) != _UNKNOWN_ID:
                raise self._unavailable(error) from error
            self._remember_unknown(schema_id)
            raise _unknown(schema_id) from None
        if (schema.schema_type or "AVRO") != "AVRO":
            raise UnresolvableError(f"schema {schema_id} is of type {schema.schema_type}, not AVRO")
        if not schema.schema_str or not isinstance(schema.schema_str, str):
            raise self._foreign()
        return schema.schema_str

    def register(self, subject: str, schema: str) -> int:
        """The id of a schema under a subject, where it is registered unless it is there.

        Raises:
            RegistryRefusedError: The registry does not take it (incompatible with its predecessors, not authorised).
            RegistryUnavailableError: It says nothing: wait, then ask again.
        """
        if not subject:
            raise ValueError("a schema is registered under a subject, <topic>-value")
        try:
            schema_id: object = self._ask(lambda: self._client.register_schema(subject, Schema(schema, "AVRO")))
        except SchemaRegistryError as error:
            status = error.http_status_code
            if status not in _RETRIABLE and 400 <= status < 500:
                raise RegistryRefusedError(f"{self._shown} refuses the schema of {subject}: {error}") from error
            raise self._unavailable(error) from error
        if not isinstance(schema_id, int):
            raise self._foreign()
        return schema_id

    def close(self) -> None:
        """Closes the connections; leaving a `with` block does it too."""
        self._client.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _ask(self, question: Callable[[], _Answer]) -> _Answer:
        try:
            return question()
        except SchemaRegistryError:
            raise
        except Exception as error:  # refused, timed out, no JSON, no token: which library raises, the client hides
            raise self._unavailable(error) from error

    def _unavailable(self, error: Exception) -> RegistryUnavailableError:
        return RegistryUnavailableError(f"the schema registry {self._shown}: {type(error).__name__}: {error}")

    def _foreign(self) -> RegistryUnavailableError:
        """A gateway or a proxy may answer for a registry that is away; the client has kept the answer."""
        self._client.clear_caches()  # type: ignore[no-untyped-call]
        return RegistryUnavailableError(f"the schema registry {self._shown}: the answer is none of a schema registry")

    def _remember_unknown(self, schema_id: int) -> None:
        while len(self._unknown_until) >= _UNKNOWN_MAX:
            del self._unknown_until[next(iter(self._unknown_until))]  # the oldest
        self._unknown_until[schema_id] = self._monotonic() + _UNKNOWN_FOR_S


def _unknown(schema_id: int) -> UnknownSchemaError:
    return UnknownSchemaError(f"the registry knows no schema {schema_id}")
