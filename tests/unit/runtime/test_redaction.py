"""Secrets are known by their property's name, and by their place in an address."""

import pytest

from runtime.redaction import is_secret, redacted


@pytest.mark.parametrize(
    "name",
    [
        "sasl.password",
        "ssl.key.password",
        "ssl.keystore.password",
        "ssl.key.pem",
        "sasl.oauthbearer.client.secret",
        "sasl.oauthbearer.client.credentials.client.secret",
        "sasl.oauthbearer.assertion.private.key.passphrase",
        "sasl.oauthbearer.assertion.private.key.pem",
        "sasl.oauthbearer.config",
        "sasl.jaas.config",
        "basic.auth.user.info",
        "bearer.auth.token",
        "bearer.auth.client.secret",
        "LEAD_SCORER__KAFKA_PASSWORD",
    ],
)
def test_a_secret_is_known_by_its_name(name: str) -> None:
    """Properties of librdkafka and of the registry's client that hold secrets."""
    assert is_secret(name)


@pytest.mark.parametrize(
    "name",
    [
        "sasl.username",
        "sasl.mechanism",
        "ssl.key.location",
        "ssl.ca.pem",
        "sasl.oauthbearer.client.id",
        "sasl.oauthbearer.token.endpoint.url",
        "basic.auth.credentials.source",
        "bootstrap_servers",
    ],
)
def test_what_is_no_secret_is_shown(name: str) -> None:
    """An operator who looks for a fault sees the rest."""
    assert not is_secret(name)


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("https://me:word@registry:8081/path", "https://***@registry:8081/path"),
        (
            "SASL_SSL://me@broker:9093,SASL_SSL://you@broker:9094",
            "SASL_SSL://***@broker:9093,SASL_SSL://***@broker:9094",
        ),
        ("https://registry:8081/user", "https://registry:8081/user"),
        ("https://registry:8081/@user", "https://***@user"),  # a password may hold all of that
        ("https://me:w/rd@registry:8081", "https://***@registry:8081"),
        ("https://me:w,rd@a,http://you:w@b", "https://***@a,http://***@b"),
        ("me@example", "me@example"),
        ("https://me:w@rd@registry:8081", "https://***@registry:8081"),
        ("me:word@registry:8081", "***@registry:8081"),
        ("broker:9092,other:9092", "broker:9092,other:9092"),
    ],
)
def test_the_user_of_an_address_is_redacted(address: str, shown: str) -> None:
    """The part before the @ carries passwords."""
    assert redacted("url", address) == shown


def test_a_table_is_redacted_key_by_key() -> None:
    """Also a table within a table."""
    assert redacted("x", {"a": {"password": 1, "b": 2}}) == {"a": {"password": "***", "b": 2}}
