"""How data of one schema are read as another: Avro's schema resolution, done once per writer, not once per record."""

from collections.abc import Callable, Iterator
from typing import Any, Final

from schemas import reading
from schemas.errors import UnresolvableError
from schemas.reading import Malformed, Read
from schemas.released import Schema

Type = Any
"""A type in a parsed schema: a name, a list of branches, or a dict with `type`."""

_PRIMITIVE: Final[dict[str, Read]] = {
    "null": reading.read_null,
    "boolean": reading.read_boolean,
    "int": reading.read_int,
    "long": reading.read_long,
    "float": reading.read_float,
    "double": reading.read_double,
    "bytes": reading.read_bytes,
    "string": reading.read_string,
}
_PROMOTED: Final[dict[tuple[str, str], Callable[[Any], Any] | None]] = {
    ("int", "long"): None,
    ("int", "float"): float,
    ("int", "double"): float,
    ("long", "float"): float,
    ("long", "double"): float,
    ("float", "double"): None,
    ("string", "bytes"): str.encode,
    ("bytes", "string"): bytes.decode,
}


def reader_of(writer: Schema, reader: Schema) -> Read:
    """The function that reads what `writer` wrote as `reader` has it.

    Fields are matched by name, whatever their order; named types by their name without namespace; aliases are not
    used. A field that only the writer has is dropped, one that only the reader has takes its default, a symbol
    unknown to the reader becomes the enum's default. What depends on the datum (a union's branch that the reader
    lacks) is refused when such a datum comes.

    Raises:
        UnresolvableError: The two do not go together whatever the datum; says which field and why.
    """
    try:
        return _Resolver(writer, reader).resolve(writer.root, reader.root)
    except RecursionError:
        raise UnresolvableError("it nests too deep") from None


def is_same(writer: Schema, reader: Schema) -> bool:
    """Whether every datum of the one is one of the other, whichever branches it has.

    The fingerprints alone do not say so: they leave logical types out, and with them the unit of a time.
    """
    if writer.fingerprint != reader.fingerprint:
        return False
    pairs = zip(_logical_types(writer.root), _logical_types(reader.root), strict=True)
    return all(theirs in ("", ours) for theirs, ours in pairs)


class _Resolver:
    def __init__(self, writer: Schema, reader: Schema) -> None:
        self._writer_named, self._reader_named = writer.named, reader.named
        self._skippers: dict[str, Read] = {}

    def resolve(self, writer: Type, reader: Type) -> Read:
        writer, reader = self._writer_named.get(_key(writer), writer), self._reader_named.get(_key(reader), reader)
        if isinstance(writer, list):
            return reading.union_reader([self._or_refusal(branch, reader) for branch in writer])
        if isinstance(reader, list):
            return self._first_that_fits(writer, reader)
        kind, wanted = _kind(writer), _kind(reader)
        if kind != wanted:
            return _promoted(kind, wanted)
        match kind:
            case "record":
                return self._record(writer, reader)
            case "enum":
                return _enum(writer, reader)
            case "array":
                return reading.blocks_reader(self.resolve(writer["items"], reader["items"]), _same)
            case "map":
                return reading.blocks_reader(_entry(self.resolve(writer["values"], reader["values"])), dict)
            case "fixed":
                _same_name(writer, reader)
                if writer["size"] != reader["size"]:
                    raise UnresolvableError("a fixed of another size")
                return reading.fixed_reader(writer["size"])
            case _:
                return _primitive(writer, reader)

    def skip(self, writer: Type) -> Read:
        """Reads what the reader has no use for; it is checked all the same."""
        name = _key(writer)
        if name in self._skippers:
            return self._skippers[name]
        if name in self._writer_named:
            # A type may hold itself: what is inside it finds the entry, which finds the finished reader when it runs.
            self._skippers[name] = lambda value, at: finished(value, at)
            finished = self._skip_new(self._writer_named[name])
            self._skippers[name] = finished
            return finished
        return self._skip_new(writer)

    def _skip_new(self, writer: Type) -> Read:
        if isinstance(writer, list):
            return reading.union_reader([self.skip(branch) for branch in writer])
        match _kind(writer):
            case "record":
                fields = [(field["name"], self.skip(field["type"])) for field in writer["fields"]]
                return reading.record_reader(fields, (), {})
            case "enum":
                return reading.enum_reader(writer["symbols"])
            case "array":
                return reading.blocks_reader(self.skip(writer["items"]), _same)
            case "map":
                return reading.blocks_reader(_entry(self.skip(writer["values"])), dict)
            case "fixed":
                return reading.fixed_reader(writer["size"])
            case kind:
                return _PRIMITIVE[kind]

    def _record(self, writer: Type, reader: Type) -> Read:
        _same_name(writer, reader)
        wanted = {field["name"]: field for field in reader["fields"]}
        fields = [(field["name"], self._field(field, wanted.pop(field["name"], None))) for field in writer["fields"]]
        kept = {field["name"] for field in reader["fields"]}
        for name, field in wanted.items():
            if "default" not in field:
                raise UnresolvableError(f"{name}: the writer does not have it, and it has no default")
        defaults = {name: field["default"] for name, field in wanted.items()}
        return reading.record_reader(fields, [name for name, _ in fields if name not in kept], defaults)

    def _field(self, writer: Type, reader: Type | None) -> Read:
        if reader is None:
            return self.skip(writer["type"])
        try:
            return self.resolve(writer["type"], reader["type"])
        except UnresolvableError as error:
            raise UnresolvableError(f"{writer['name']}: {error}") from None

    def _first_that_fits(self, writer: Type, branches: list[Type]) -> Read:
        exact = [branch for branch in branches if _kind(branch) == _kind(writer)]
        for branch in [*exact, *branches]:
            try:
                return self.resolve(writer, branch)
            except UnresolvableError:
                continue
        if exact:
            return self.resolve(writer, exact[0])  # raises, and says what there is against it
        raise UnresolvableError(f"no branch of the union takes the writer's {_kind(writer)}")

    def _or_refusal(self, writer: Type, reader: Type) -> Read:
        try:
            return self.resolve(writer, reader)
        except UnresolvableError as error:
            return reading.refusal(str(error))


def _key(kind: Type) -> str:
    """The name by which a type may stand in the table of named types; in full or as a reference."""
    if isinstance(kind, dict):
        return str(kind.get("name", ""))
    return kind if isinstance(kind, str) else ""


def _kind(avro_type: Type) -> str:
    if isinstance(avro_type, list):
        return "union"
    kind = avro_type["type"] if isinstance(avro_type, dict) else avro_type
    return "record" if kind == "error" else str(kind)


def _primitive(writer: Type, reader: Type) -> Read:
    theirs, ours = _logical(writer), _logical(reader)
    if ours != "timestamp-millis":
        return _PRIMITIVE[_kind(reader)]
    if theirs not in ("", ours):  # microseconds read as milliseconds would pass for times
        raise UnresolvableError(f"{theirs} is not {ours}")
    return reading.read_time


def _logical(avro_type: Type) -> str:
    return str(avro_type.get("logicalType", "")) if isinstance(avro_type, dict) else ""


def _logical_types(avro_type: Type) -> Iterator[str]:
    """Of each type that holds no others, in the order of the text."""
    if isinstance(avro_type, list):
        parts = avro_type
    elif isinstance(avro_type, dict) and "fields" in avro_type:
        parts = [field["type"] for field in avro_type["fields"]]
    elif isinstance(avro_type, dict) and avro_type["type"] in ("array", "map"):
        parts = [avro_type.get("items") or avro_type.get("values")]
    else:
        yield _logical(avro_type)
        return
    for part in parts:
        yield from _logical_types(part)


def _promoted(kind: str, wanted: str) -> Read:
    if (kind, wanted) not in _PROMOTED:
        raise UnresolvableError(f"a {kind} cannot be read as a {wanted}")
    convert = _PROMOTED[kind, wanted]
    plain = _PRIMITIVE[kind]
    if convert is None:
        return plain

    def read(value: bytes, at: int) -> tuple[Any, int]:
        found, at = plain(value, at)
        return convert(found), at

    return read


def _enum(writer: Type, reader: Type) -> Read:
    _same_name(writer, reader)
    known, default = reader["symbols"], reader.get("default")
    if default is None and not set(writer["symbols"]) <= set(known):
        plain = reading.enum_reader(writer["symbols"])

        def read(value: bytes, at: int) -> tuple[Any, int]:
            symbol, at = plain(value, at)
            if symbol not in known:
                raise Malformed("a symbol that the reader does not know")
            return symbol, at

        return read
    return reading.enum_reader([symbol if symbol in known else default for symbol in writer["symbols"]])


def _entry(read_value: Read) -> Read:
    def read(value: bytes, at: int) -> tuple[Any, int]:
        key, at = reading.read_string(value, at)
        found, at = read_value(value, at)
        return (key, found), at

    return read


def _same_name(writer: Type, reader: Type) -> None:
    theirs, ours = (part["name"].rpartition(".")[2] for part in (writer, reader))
    if theirs != ours:
        raise UnresolvableError(f"{theirs} is not {ours}")


def _same(items: list[Any]) -> list[Any]:
    return items
