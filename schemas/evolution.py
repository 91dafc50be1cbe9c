"""What a schema's next version may change (contract 3), so that readers and writers of any version go on together.

Two things only: a field with a default may be added, and a symbol may be added to an enum that had a default. The
test suite holds the current schemas against every released version, not the last alone: a change that is harmless in
two steps need not be so in one.
"""

from collections.abc import Iterator
from typing import Any

from schemas.released import Schema, parse


def refusals(released: str, changed: str) -> list[str]:
    """Each change from a released schema to a later one that is not allowed, with its place; empty if all are.

    Args:
        released: The text of a version that was ever released.
        changed: The text of a later one.

    >>> old = '{"type": "record", "name": "R", "fields": [{"name": "a", "type": "long"}]}'
    >>> refusals(old, old.replace('"long"', '"int"'))
    ['R.a: long became int']
    """
    old, new = parse(released), parse(changed)
    return list(_Comparison(old, new).of(old.root, new.root, str(old.root["name"])))


class _Comparison:
    def __init__(self, old: Schema, new: Schema) -> None:
        self._old, self._new = old.named, new.named

    def of(self, old: Any, new: Any, at: str) -> Iterator[str]:
        if isinstance(old, str) and isinstance(new, str) and old == new:
            return  # the same primitive, or a named type that is compared where it is defined
        old, new = _defined(old, self._old), _defined(new, self._new)
        if _called(old) != _called(new):
            yield f"{at}: {_called(old)} became {_called(new)}"
        elif isinstance(old, list):
            branches = {_called(branch): branch for branch in new}
            for branch in old:
                yield from self.of(branch, branches[_called(branch)], at)
        elif _kind(old) == "record":
            yield from self._record(old, new, at)
        elif _kind(old) == "enum":
            yield from _enum(old, new, at)
        else:
            for part in ("items", "values"):  # of an array, of a map
                if part in old:
                    yield from self.of(old[part], new[part], f"{at}.{part}")

    def _record(self, old: Any, new: Any, at: str) -> Iterator[str]:
        before = {field["name"]: field for field in old["fields"]}
        after = {field["name"]: field for field in new["fields"]}
        for name, field in before.items():
            if name in after:
                yield from self.of(field["type"], after[name]["type"], f"{at}.{name}")
            else:
                yield f"{at}.{name}: the field was removed"
        for name, field in after.items():
            if name not in before and "default" not in field:
                yield f"{at}.{name}: the field was added without a default"


def _enum(old: Any, new: Any, at: str) -> Iterator[str]:
    default = old.get("default")
    for symbol in old["symbols"]:
        if symbol not in new["symbols"]:
            yield f"{at}: the symbol {symbol} was removed"
    for symbol in new["symbols"]:
        if symbol not in old["symbols"] and default is None:
            yield f"{at}: the symbol {symbol} was added to an enum without a default"
    if new.get("default") != default:
        yield f"{at}: the default {default} became {new.get('default')}"


def _kind(avro_type: Any) -> str:
    return str(avro_type["type"] if isinstance(avro_type, dict) else avro_type)


def _defined(avro_type: Any, named: dict[str, Any]) -> Any:
    if isinstance(avro_type, list):
        return [_defined(branch, named) for branch in avro_type]
    return named.get(avro_type, avro_type) if isinstance(avro_type, str) else avro_type


def _called(avro_type: Any) -> str:
    """What must stay as it is; of a union, whatever the order of its branches."""
    if isinstance(avro_type, list):
        return f"union of {', '.join(sorted(map(_called, avro_type)))}"
    if isinstance(avro_type, str):
        return avro_type
    details = [str(avro_type[key]) for key in ("type", "logicalType", "name", "size") if key in avro_type]
    return " ".join(details)
