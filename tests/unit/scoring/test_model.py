"""A model is believed after its sample reproduces, gives the same score in any company, and explains itself."""

from __future__ import annotations

import functools
import hashlib
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from onnx import TensorProto, helper
from sklearn.base import clone  # type: ignore[import-untyped]
from sklearn.linear_model import LogisticRegression  # type: ignore[import-untyped]

from scoring.bundle import BundleError, load_bundle
from scoring.features import FEATURES
from scoring.model import Model
from tests import bundles

ROOT = Path(__file__).parents[3]


@functools.cache
def shared() -> Model:
    """One model for all examples of a property."""
    with tempfile.TemporaryDirectory() as directory:
        return loaded(Path(directory), trees=60)


def loaded(directory: Path, **changes: Any) -> Model:
    bundles.write_bundle(directory, "v1", **changes)
    return Model(load_bundle(directory, "v1"))


def refusal(directory: Path, content: bytes, **changes: Any) -> str:
    """The reason against a bundle whose manifest names the right hash of these bytes."""
    made = bundles.trained()
    rows = made.rows[:64]
    scores = made.classifier.predict_proba(rows.astype(np.float32))[:, 1]
    bundles.write_files(directory / "v1", content, bundles.manifest("v1", content, rows, scores) | changes)
    with pytest.raises(BundleError) as refused:
        Model(load_bundle(directory, "v1"))
    assert str(refused.value).startswith(f"{directory / 'v1' / 'model.onnx'}: ")
    return str(refused.value)


def edited(edit: Callable[[Any], object]) -> bytes:
    model = onnx.load_from_string(bundles.trained().onnx)
    edit(model)
    return bytes(model.SerializeToString())


def test_scores_are_those_of_the_trained_model(tmp_path: Path) -> None:
    """The exported model agrees with scikit-learn to float32's precision."""
    made = bundles.trained()
    model = loaded(tmp_path)
    expected = made.classifier.predict_proba(made.rows.astype(np.float32))[:, 1]
    np.testing.assert_allclose(model.predict(model.arrange(made.rows)), expected, atol=1e-6)


def test_scores_are_float32_probabilities_as_doubles(tmp_path: Path) -> None:
    """The published double is exactly the float32 that the model gave."""
    model = loaded(tmp_path)
    scores = model.predict(model.arrange(bundles.made_up_rows(100)))
    assert scores.dtype == np.float64
    assert (scores == scores.astype(np.float32).astype(np.float64)).all()


@settings(max_examples=30, deadline=None)
@given(cuts=st.lists(st.integers(0, 700), max_size=12), seed=st.integers(0, 5))
def test_a_row_scores_the_same_in_any_batch(cuts: list[int], seed: int) -> None:
    """Scores do not depend on batch boundaries or neighbours, to the last bit: a redone batch decides the same."""
    model = shared()
    rows = model.arrange(bundles.made_up_rows(700, seed))
    whole = model.predict(rows)
    parts = [model.predict(part) for part in np.split(rows, sorted(cuts)) if len(part)]
    assert (np.concatenate(parts) == whole).all()
    shuffled = np.random.default_rng(seed).permutation(700)
    assert (model.predict(rows[shuffled]) == whole[shuffled]).all()


def in_order(directory: Path, order: list[int], named: list[int]) -> bundles.Trained:
    """Writes bundle v1: its model takes the columns of `FEATURES` in an order, and the manifest names one."""
    rows = bundles.made_up_rows(1500)[:, order]
    classifier = clone(bundles.trained().classifier).fit(rows.astype(np.float32), rows.sum(axis=1) % 2 < 1)
    made = bundles.Trained(classifier, bundles.export(classifier), rows)
    scores = classifier.predict_proba(rows[:64].astype(np.float32))[:, 1]
    content = bundles.manifest("v1", made.onnx, rows[:64], scores)
    bundles.write_files(directory / "v1", made.onnx, content | {"features": [FEATURES[at] for at in named]})
    return made


def test_features_go_in_by_the_manifests_order(tmp_path: Path) -> None:
    """A model trained with other columns first gets them first."""
    order = [4, 2, 0, 3, 1]
    made = in_order(tmp_path, order, order)
    model = Model(load_bundle(tmp_path, "v1"))
    ours = np.empty_like(made.rows)
    ours[:, order] = made.rows
    expected = made.classifier.predict_proba(made.rows.astype(np.float32))[:, 1]
    np.testing.assert_allclose(model.predict(model.arrange(ours)), expected, atol=1e-6)
    assert {r["feature"]: r["value"] for r in model.reasons(ours[:1])[0]} == dict(zip(FEATURES, ours[0], strict=True))


@pytest.mark.parametrize("named", [[1, 0, 2, 3, 4], [4, 3, 2, 1, 0], [2, 1, 0, 3, 4]])
def test_features_named_in_another_order_than_the_samples_are_refused(tmp_path: Path, named: list[int]) -> None:
    """The sample reproduces all the same, since its rows go in as they are; every event would be scored wrongly."""
    in_order(tmp_path, [0, 1, 2, 3, 4], named)
    with pytest.raises(BundleError, match="names the features in another order"):
        Model(load_bundle(tmp_path, "v1"))


def test_reasons_add_up_to_the_log_odds(tmp_path: Path) -> None:
    """Base plus contributions is the log-odds of the published score, through the calibration."""
    model = loaded(tmp_path)
    rows = bundles.made_up_rows(300, seed=9)
    scores = model.predict(model.arrange(rows))
    totals = [model.base_log_odds + sum(r["contribution"] for r in reasons) for reasons in model.reasons(rows)]
    np.testing.assert_allclose(totals, np.log(scores / (1 - scores)), atol=2e-5)


def test_rows_that_are_alike_are_explained_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """They get the same reasons in whatever company; memory for that is bounded."""
    monkeypatch.setattr("scoring.model.EXPLAINED_MAX", 20)
    rows = bundles.made_up_rows(60, seed=9)
    expected = loaded(tmp_path / "fresh").reasons(rows)
    model = loaded(tmp_path / "asked")
    explain = model._attributions.contributions
    asked: list[int] = []

    def contributions(rows: NDArray[np.float32]) -> NDArray[np.float64]:
        asked.append(len(rows))
        return explain(rows)

    monkeypatch.setattr(model._attributions, "contributions", contributions)
    first = model.reasons(np.concatenate([rows[:10], rows[5:15], rows[:1]]))
    assert first == [*expected[:10], *expected[5:15], *expected[:1]]
    assert model.reasons(rows[:15][::-1]) == expected[:15][::-1]
    assert asked == [15]
    assert [model.reasons(rows[at : at + 10]) for at in range(0, 60, 10)] == [
        expected[at : at + 10] for at in range(0, 60, 10)
    ]
    assert len(model._explained) <= 30


def test_reasons_come_by_falling_contribution(tmp_path: Path) -> None:
    """What counted most stands first; all five features are named, with the values used."""
    model = loaded(tmp_path)
    rows = bundles.made_up_rows(50, seed=9)
    for row, reasons in zip(rows, model.reasons(rows), strict=True):
        sizes = [abs(r["contribution"]) for r in reasons]
        assert sizes == sorted(sizes, reverse=True)
        assert {r["feature"]: r["value"] for r in reasons} == dict(zip(FEATURES, row.tolist(), strict=True))


def test_sample_that_does_not_reproduce_is_refused(tmp_path: Path) -> None:
    """A model that scores its sample differently is not the one that was evaluated."""
    made = bundles.trained()
    wrong = {"rows": made.rows[:2].tolist(), "scores": [0.123, 0.456]}
    assert "scores the manifest's sample" in refusal(tmp_path, made.onnx, sample=wrong)


def test_another_sound_model_is_refused_by_its_sample(tmp_path: Path) -> None:
    """Swapping the model and its hash is still found."""
    assert "scores the manifest's sample" in refusal(tmp_path, bundles.trained(seed=1).onnx)


def test_model_that_is_no_tree_ensemble_is_refused(tmp_path: Path) -> None:
    """What cannot be explained exactly is not served."""
    made = bundles.trained()
    linear = LogisticRegression().fit(made.rows, made.rows[:, 0] > 20)
    assert "0 tree ensembles" in refusal(tmp_path, bundles.export(linear))


def external(model: Any) -> None:
    tensor = model.graph.initializer[0]
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="weights.bin")


def other_output(model: Any) -> None:
    model.graph.node[10].output[0] = "scores"
    model.graph.node[11].input[0] = "scores"
    model.graph.output[1].name = "scores"


def sixth_feature(model: Any) -> None:
    model.graph.input[0].type.tensor_type.shape.dim[1].dim_value = 6


def unknown_operator(model: Any) -> None:
    model.graph.node[2].op_type = "Multiply"


def second_input(model: Any) -> None:
    model.graph.input.append(helper.make_tensor_value_info("more", TensorProto.FLOAT, [None, 5]))


def other_calibration(model: Any) -> None:
    node = model.graph.node[2]  # multiplies the margin by the sigmoid's slope
    node.input[0] = node.input[1]


@pytest.mark.parametrize(
    ("edit", "reason"),
    [
        (external, "data in another file"),
        (other_output, "must include probabilities"),
        (sixth_feature, "must be one tensor(float) [n, 5]"),
        (second_input, "input itself"),
        (unknown_operator, "ONNX Runtime refuses it"),
        (other_calibration, "sample"),
    ],
)
def test_unusable_model_is_refused_with_the_file_and_the_reason(
    tmp_path: Path, edit: Callable[[Any], None], reason: str
) -> None:
    """Each refusal names the file and what is wrong with it."""
    assert reason in refusal(tmp_path, edited(edit))


@pytest.mark.parametrize("content", [b"not onnx", b"\x1c\x00\x00\x00ORTM" + b"\x00" * 64])
def test_other_formats_are_refused(tmp_path: Path, content: bytes) -> None:
    """Neither text nor ONNX Runtime's flatbuffers get to the runtime."""
    assert "not an ONNX model" in refusal(tmp_path, content) or "it holds" in refusal(tmp_path / "b", content)


TELEMETRY = """
import os, sys, threading
from pathlib import Path
os.environ["ORT_DISABLE_TELEMETRY"] = "0"
import numpy as np
from scoring.bundle import load_bundle
from scoring.model import Model
model = Model(load_bundle(Path(sys.argv[1]), "v1"))
model.predict(np.zeros((1, 5), dtype=np.float32))
links = [os.readlink(fd) for fd in Path("/proc/self/fd").iterdir() if os.path.islink(fd)]
print(os.environ["ORT_DISABLE_TELEMETRY"], any("socket" in link or ".db" in link for link in links))
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_the_runtime_sends_nothing_and_writes_nothing(tmp_path: Path) -> None:
    """With telemetry asked for by the environment, serving still opens no socket and leaves no file at home."""
    bundles.write_bundle(tmp_path / "models", "v1")
    home = tmp_path / "home"
    home.mkdir()
    environment = os.environ | {
        "HOME": str(home),
        "XDG_CACHE_HOME": str(home / "cache"),
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    ran = subprocess.run(
        [sys.executable, "-c", TELEMETRY, str(tmp_path / "models")],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ran.stdout.split() == ["1", "False"], ran.stderr
    assert list(home.rglob("*")) == []


def test_the_hash_is_that_of_the_bytes_that_run(tmp_path: Path) -> None:
    """Replacing the file after it was read changes nothing: what runs are the bytes that were hashed."""
    path = bundles.write_bundle(tmp_path, "v1") / "model.onnx"
    bundle = load_bundle(tmp_path, "v1")
    path.write_bytes(b"something else")
    model = Model(bundle)
    assert model.manifest.sha256 == hashlib.sha256(bundle.model).hexdigest()
    assert model.predict(model.arrange(bundles.made_up_rows(3))).shape == (3,)
