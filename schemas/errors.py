"""What goes wrong with a value, by what the caller then does about it. No message quotes the value."""


class UndecodableError(Exception):
    """The bytes hold no such record: a dead letter `undecodable`; going on with the next record is right."""


class UnresolvableError(UndecodableError):
    """The writer's schema is known, and nothing written with it can be read as ours; so it will stay."""


class UnknownSchemaError(Exception):
    """The schema that the record was written with is not known: a dead letter `unknown_schema`."""


class RegistryUnavailableError(Exception):
    """The registry gives no answer. Not the record's fault: wait, and ask again with the same record."""


class RegistryRefusedError(Exception):
    """The registry answered and will not take the schema, or not from us: do not start."""


class UnwritableError(ValueError):
    """A datum that its schema does not admit; names the field and what is allowed. A fault of the caller."""
