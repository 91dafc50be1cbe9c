"""Only what the schema knows is read; whatever else a file holds refuses it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper

from scoring.onnx_file import ModelFormatError, read_graph
from tests import bundles


def edited(edit: Callable[[Any], object]) -> bytes:
    """The export of a small model after an edit by ONNX's own library."""
    model = onnx.load_from_string(bundles.trained().onnx)
    edit(model)
    return bytes(model.SerializeToString())


def external(model: Any) -> None:
    tensor = model.graph.initializer[0]
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="/etc/passwd")


def external_by_location_only(model: Any) -> None:
    model.graph.initializer[0].data_location = TensorProto.EXTERNAL


def external_in_attribute(model: Any) -> None:
    tensor = TensorProto(name="t", data_type=TensorProto.FLOAT, dims=[1])
    tensor.external_data.add(key="location", value="weights.bin")
    model.graph.node[0].attribute.append(helper.make_attribute("value", tensor))


def subgraph(model: Any) -> None:
    graph = helper.make_graph([], "inner", [], [])
    model.graph.node[0].attribute.append(helper.make_attribute("body", graph))


def custom_operator(model: Any) -> None:
    model.graph.node[0].domain = "com.example"


def custom_opset(model: Any) -> None:
    model.opset_import.append(helper.make_opsetid("com.microsoft", 1))


def function(model: Any) -> None:
    model.functions.append(helper.make_function("f", "g", [], [], [], [helper.make_opsetid("", 17)]))


def sparse(model: Any) -> None:
    model.graph.sparse_initializer.add()


def training_graph(model: Any) -> None:
    model.training_info.add()


def newer_field(model: Any) -> None:
    model.graph.metadata_props.add(key="k", value="v")


@pytest.mark.parametrize(
    ("edit", "reason"),
    [
        (external, "data in another file"),
        (external_by_location_only, "data in another file"),
        (external_in_attribute, "data in another file"),
        (subgraph, "a subgraph"),
        (custom_operator, "operator domain 'com.example'"),
        (custom_opset, "operator domain 'com.microsoft'"),
        (function, "functions of its own"),
        (sparse, "sparse tensors"),
        (training_graph, "a training graph"),
        (newer_field, "field 16 of Graph"),
    ],
)
def test_what_a_bundles_model_may_not_hold_is_refused(edit: Callable[[Any], None], reason: str) -> None:
    """External data, custom operators, subgraphs and anything unknown are refused before the runtime sees the bytes."""
    with pytest.raises(ModelFormatError, match=reason):
        read_graph(edited(edit))


def test_graph_is_read_as_onnx_reads_it() -> None:
    """Operators, inputs and attributes are those that ONNX's own library finds."""
    expected = onnx.load_from_string(bundles.trained().onnx).graph
    graph = read_graph(bundles.trained().onnx)
    assert graph.inputs == tuple(value.name for value in expected.input)
    assert [(n.op_type, n.inputs, n.outputs) for n in graph.nodes] == [
        (n.op_type, tuple(n.input), tuple(n.output)) for n in expected.node
    ]
    for node, other in zip(graph.nodes, expected.node, strict=True):
        for attribute in other.attribute:
            value, known = node.attributes[attribute.name], helper.get_attribute_value(attribute)
            assert value == known if isinstance(known, int | bytes) else list(value) == list(known)


@pytest.mark.parametrize("content", [b"", b"hello", b"\x00" * 100, b"\x80\x04\x95", b"ORTM" * 10])
def test_other_files_are_no_models(content: bytes) -> None:
    """Empty files, text, pickles and flatbuffers are refused as what they are: not ONNX."""
    with pytest.raises(ModelFormatError):
        read_graph(content)


@settings(max_examples=200, deadline=None)
@given(at=st.integers(0, 30_000), change=st.one_of(st.just(b""), st.binary(min_size=1, max_size=4)))
def test_damaged_bytes_are_read_or_refused(at: int, change: bytes) -> None:
    """A truncated or altered file is a model or a refusal, never another error."""
    content = bundles.trained().onnx
    at %= len(content)
    damaged = content[:at] + change + (content[at + len(change) :] if change else b"")
    try:
        assert read_graph(damaged).nodes
    except ModelFormatError as error:
        assert str(error)  # noqa: PT017 - it may be raised or not
