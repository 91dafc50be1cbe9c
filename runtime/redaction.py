"""Secrets of the configuration, which no output may carry."""

import re
from collections.abc import Mapping
from typing import Any

REDACTED = "***"

# What names a secret in librdkafka's and the registry client's properties; `sasl.oauthbearer.config` and
# `sasl.jaas.config` are free text that carries credentials, and a PEM may hold the private key itself.
_SECRET = re.compile(
    r"passw|passphrase|secret|credentials?$|user\.?info|jaas\.config|oauthbearer\.config|(?:^|[._])token$|key\.pem$|api\.?key",
    re.IGNORECASE,
)
# Up to the last @ of an address, for a password may hold @, / and commas; an address that lacks its scheme is told as a
# fault, with its value.
_USERINFO = re.compile(r"(?:(?<=://)|\A[^/:@\s]+:(?!//))(?:(?!,\w+://)\S)+(?=@)")


def is_secret(name: str) -> bool:
    """Whether a property of that name holds a secret.

    >>> is_secret("sasl.password"), is_secret("ssl.key.location")
    (True, False)
    """
    return _SECRET.search(name) is not None


def redacted(name: str, value: Any) -> Any:
    """The value as it may be shown: secrets as `***`, also within tables and in the user part of addresses.

    >>> redacted("client", {"sasl.username": "u", "sasl.password": "p"})
    {'sasl.username': 'u', 'sasl.password': '***'}
    >>> redacted("url", "https://user:word@registry:8081")
    'https://***@registry:8081'
    >>> redacted("url", "https://user:w/o,r@d@registry-1,http://u:p@registry-2")
    'https://***@registry-1,http://***@registry-2'
    """
    if is_secret(name):
        return REDACTED
    if isinstance(value, Mapping):
        return {key: redacted(str(key), item) for key, item in value.items()}
    if isinstance(value, str):
        return _USERINFO.sub(REDACTED, value)
    return value
