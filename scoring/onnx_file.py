"""Reads an ONNX file by a schema of what a bundle's model may contain; whatever else is in the file refuses it.

ONNX's own schema allows data in other files, operators of other domains, functions, subgraphs and training graphs: the
ground of CVE-2022-25882, -2024-27318, -2025-51480 and -2026-34447. The schema below leaves them out, so protobuf finds
them as unknown fields, and an unknown field anywhere is a refusal: an allow-list, at every depth, parsed by the library
that ONNX Runtime's own file format is defined in. Why not the onnx package: docs/decisions/0004-reading-models.md.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory  # type: ignore[import-untyped]
from google.protobuf.message import DecodeError, Message  # type: ignore[import-untyped]
from google.protobuf.unknown_fields import UnknownFieldSet  # type: ignore[import-untyped]

OPERATOR_DOMAINS = frozenset({"", "ai.onnx", "ai.onnx.ml"})
"""The domains whose operators the ONNX standard defines."""


class ModelFormatError(ValueError):
    """The bytes are not a model that serving may run; the message says what was found and what must be."""


@dataclass(frozen=True, slots=True)
class Node:
    """One operator; an attribute is a number, bytes, or a list of numbers or bytes."""

    op_type: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Graph:
    """The operators of a model and the names of its inputs."""

    nodes: tuple[Node, ...]
    inputs: tuple[str, ...]


# message -> field -> (number, type, "*" if repeated), from onnx.proto (proto2) as of IR version 13.
_SCHEMA: dict[str, dict[str, tuple[int, str, str]]] = {
    "Model": {
        "ir_version": (1, "int64", ""),
        "producer_name": (2, "string", ""),
        "producer_version": (3, "string", ""),
        "domain": (4, "string", ""),
        "model_version": (5, "int64", ""),
        "doc_string": (6, "string", ""),
        "graph": (7, "Graph", ""),
        "opset_import": (8, "OperatorSet", "*"),
        "metadata_props": (14, "Entry", "*"),
    },
    "OperatorSet": {"domain": (1, "string", ""), "version": (2, "int64", "")},
    "Entry": {"key": (1, "string", ""), "value": (2, "string", "")},
    "Graph": {
        "node": (1, "Node", "*"),
        "name": (2, "string", ""),
        "initializer": (5, "Tensor", "*"),
        "doc_string": (10, "string", ""),
        "input": (11, "ValueInfo", "*"),
        "output": (12, "ValueInfo", "*"),
        "value_info": (13, "ValueInfo", "*"),
    },
    "Node": {
        "input": (1, "string", "*"),
        "output": (2, "string", "*"),
        "name": (3, "string", ""),
        "op_type": (4, "string", ""),
        "attribute": (5, "Attribute", "*"),
        "doc_string": (6, "string", ""),
        "domain": (7, "string", ""),
    },
    "Attribute": {
        "name": (1, "string", ""),
        "f": (2, "float", ""),
        "i": (3, "int64", ""),
        "s": (4, "bytes", ""),
        "t": (5, "Tensor", ""),
        "floats": (7, "float", "*"),
        "ints": (8, "int64", "*"),
        "strings": (9, "bytes", "*"),
        "doc_string": (13, "string", ""),
        "type": (20, "int32", ""),
    },
    "Tensor": {
        "dims": (1, "int64", "*"),
        "data_type": (2, "int32", ""),
        "float_data": (4, "float", "*"),
        "int32_data": (5, "int32", "*"),
        "string_data": (6, "bytes", "*"),
        "int64_data": (7, "int64", "*"),
        "name": (8, "string", ""),
        "raw_data": (9, "bytes", ""),
        "double_data": (10, "double", "*"),
        "uint64_data": (11, "uint64", "*"),
        "doc_string": (12, "string", ""),
        "data_location": (14, "int32", ""),
    },
    "ValueInfo": {"name": (1, "string", ""), "type": (2, "Type", ""), "doc_string": (3, "string", "")},
    "Type": {"tensor_type": (1, "TensorType", ""), "denotation": (6, "string", "")},
    "TensorType": {"elem_type": (1, "int32", ""), "shape": (2, "Shape", "")},
    "Shape": {"dim": (1, "Dimension", "*")},
    "Dimension": {"dim_value": (1, "int64", ""), "dim_param": (2, "string", ""), "denotation": (3, "string", "")},
}

_KNOWN_REFUSALS = {
    ("Tensor", 13): "data in another file (external_data)",
    ("Attribute", 6): "a subgraph",
    ("Attribute", 11): "subgraphs",
    ("Graph", 15): "sparse tensors",
    ("Model", 20): "a training graph",
    ("Model", 25): "functions of its own",
}


def read_graph(content: bytes) -> Graph:
    """The graph of a serialised ONNX model.

    Raises:
        ModelFormatError: Not ONNX, or with something in it that a bundle's model may not have.
    """
    model = _MODEL()
    try:
        model.ParseFromString(content)
        _refuse_unknown(model)
        return _graph(model)
    except (DecodeError, UnicodeDecodeError) as error:
        raise ModelFormatError("not an ONNX model (truncated, or another kind of file)") from error


def _graph(model: Any) -> Graph:
    for item in (*model.opset_import, *model.graph.node):
        if item.domain not in OPERATOR_DOMAINS:
            raise ModelFormatError(f"operator domain {item.domain[:80]!r}; must be one of ONNX's own")
    if not model.graph.node:
        raise ModelFormatError("not an ONNX model (no operators in it)")
    nodes = tuple(
        Node(node.op_type, tuple(node.input), tuple(node.output), {a.name: _value(a) for a in node.attribute})
        for node in model.graph.node
    )
    return Graph(nodes, tuple(value.name for value in model.graph.input))


def _value(attribute: Any) -> Any:
    """The one field that is set; which one it is says the attribute's type."""
    for field, value in attribute.ListFields():
        if field.name not in ("name", "doc_string", "type"):
            return value
    return []


def _refuse_unknown(message: Message) -> None:
    kind = message.DESCRIPTOR.name
    for field in UnknownFieldSet(message):
        what = _KNOWN_REFUSALS.get((kind, field.field_number), f"field {field.field_number} of {kind}")
        raise ModelFormatError(f"it holds {what}; a bundle's model may not")
    if kind == "Tensor" and message.data_location:
        raise ModelFormatError("it holds data in another file (data_location); a bundle's model may not")
    for part in _parts(message):
        _refuse_unknown(part)


def _parts(message: Message) -> Iterator[Message]:
    for field, value in message.ListFields():
        if field.message_type is None:
            continue
        if isinstance(value, Message):
            yield value
        else:
            yield from value


def _message_class() -> Any:
    kinds = descriptor_pb2.FieldDescriptorProto
    file = descriptor_pb2.FileDescriptorProto(name="lead/onnx.proto", package="lead", syntax="proto2")
    for name, fields in _SCHEMA.items():
        message = file.message_type.add(name=name)
        for field, (number, kind, repeated) in fields.items():
            label = kinds.LABEL_REPEATED if repeated else kinds.LABEL_OPTIONAL
            if kind in _SCHEMA:
                message.field.add(
                    name=field, number=number, label=label, type=kinds.TYPE_MESSAGE, type_name=f".lead.{kind}"
                )
            else:
                message.field.add(name=field, number=number, label=label, type=kinds.Type.Value(f"TYPE_{kind.upper()}"))
    # A pool of its own: a program that also imports onnx (training, tests) has other messages of these names.
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("lead.Model"))


_MODEL = _message_class()
