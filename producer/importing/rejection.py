"""A row that does not go through."""

from typing import NamedTuple


class RowError(ValueError):
    """The row is no event. The message names the column or field and quotes no value.

    Attributes:
        code: What is wrong, to count by.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class Rejection(NamedTuple):
    """What is reported of a rejected row.

    Attributes:
        line: Number of its first line in the file, from 1.
        code: What is wrong, of a small set, to count by.
        message: What is wrong, in words and without lead data.
    """

    line: int
    code: str
    message: str


def shown(text: str) -> str:
    """A column's name or event type as messages may show it: in a wrong file or mapping it may be an address.

    >>> shown("user_id"), shown("jo@example.com")
    ('user_id', '(not shown)')
    """
    return "(not shown)" if "@" in text else text
