"""A loaded model: the bundle's bytes in an ONNX Runtime session, proven on the manifest's sample (contract 8)."""

from __future__ import annotations

import os
from collections.abc import Callable
from itertools import permutations
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

# Before the import: on Linux onnxruntime 1.31 else writes a telemetry database into the home directory and looks up a
# remote host. Forced, not a default: a program that holds lead data does neither, whatever its environment says.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"
import onnxruntime  # type: ignore[import-untyped]

from scoring.attributions import Attributions
from scoring.bundle import MANIFEST_FILE, Bundle, BundleError, Manifest
from scoring.features import FEATURES, are_features
from scoring.log_odds import fit_line
from scoring.onnx_file import ModelFormatError, read_graph
from scoring.trees import Leaves, read_leaves

Rows = NDArray[np.float32]
Predict = Callable[[Rows], NDArray[np.float64]]
"""`(n, 5) float32` in the manifest's order -> `(n,) float64`: float32 probabilities of conversion, not yet checked."""

SAMPLE_TOLERANCE: Final = 1e-5
"""Between processors float32 sums may differ by 1e-6; a different model differs by far more."""

_SORT_KEYS: Final = ("days_since_last_activity", "engagement_score", "company_size_bucket")
"""The last counts most. Rows that are alike take the same branches of a tree, and the processor foresees them: sorted
batches take 2.1 to 2.3 µs a row instead of 3.3 (200 trees, 256 to 2,000 rows). A row's score does not depend on it."""

EXPLAINED_MAX: Final = 4096
"""Different rows whose reasons are kept: some 8 MB."""

_OUTPUT: Final = "probabilities"
_EDGE_ROWS: Final = 256


class Model:
    """A model that was accepted; `predict` and `reasons` are each to be called by one thread at a time.

    Attributes:
        manifest: What the bundle says about it.
        predict: The first session; `fresh_predict` makes others from the same bytes.
    """

    def __init__(self, bundle: Bundle) -> None:
        """Checks all that can be checked before the first event; takes 30 to 60 ms, so not on the loop's thread.

        Raises:
            BundleError: The model is refused; the message names the file and the reason.
        """
        self.manifest: Manifest = bundle.manifest
        self._bytes = bundle.model
        self._order = [FEATURES.index(name) for name in self.manifest.features]
        try:
            self._check_order()
            leaves = read_leaves(read_graph(bundle.model))
            self.predict = self.fresh_predict()
            self._check_sample()
            self._explain(leaves)
        except ModelFormatError as error:
            raise BundleError(f"{bundle.source}: {error}") from error

    @property
    def version(self) -> str:
        """The bundle's version, as in `Decision.model_version`."""
        return self.manifest.version

    def arrange(self, features: NDArray[np.float64]) -> Rows:
        """`(n, 5)` features in the order of `FEATURES`, as the model takes them."""
        return features[:, self._order].astype(np.float32)

    def fresh_predict(self) -> Predict:
        """A session of its own on the same bytes, for when another one does not come back."""
        session = _open(self._bytes)
        name = session.get_inputs()[0].name
        keys = [self.manifest.features.index(feature) for feature in _SORT_KEYS]

        def predict(rows: Rows) -> NDArray[np.float64]:
            order = np.lexsort([rows[:, key] for key in keys])
            (probabilities,) = session.run([_OUTPUT], {name: rows[order]})
            scores = np.empty(len(rows))
            scores[order] = probabilities[:, 1]
            return scores

        return predict

    def reasons(self, features: NDArray[np.float64]) -> list[list[dict[str, Any]]]:
        """`Decision.reasons` of `(k, 5)` rows that this model scored: by falling |contribution|, in log-odds.

        Rows that are alike get the same list, which is not to be changed: counts, days and buckets make few different
        rows, a tenth of a backlog's.
        """
        keys: list[bytes] = (
            np.ascontiguousarray(features).view(f"V{features.itemsize * len(FEATURES)}").ravel().tolist()
        )
        known = self._explained
        if len(known) > EXPLAINED_MAX:
            known.clear()
        new = {key: row for row, key in enumerate(keys) if key not in known}
        if new:
            known.update(zip(new, self._explain_rows(features[list(new.values())]), strict=True))
        return [known[key] for key in keys]

    def _explain_rows(self, features: NDArray[np.float64]) -> list[list[dict[str, Any]]]:
        contributions = self._slope * self._attributions.contributions(self.arrange(features))
        ranks = np.argsort(-np.abs(contributions), axis=1, kind="stable").tolist()
        values = features[:, self._order].tolist()
        names = self.manifest.features
        return [
            [{"feature": names[at], "value": row[at], "contribution": given[at]} for at in rank]
            for rank, row, given in zip(ranks, values, contributions.tolist(), strict=True)
        ]

    def _check_order(self) -> None:
        """Names in another order than the columns: the sample would score as it should, and every event wrongly."""
        rows = np.array(self.manifest.sample.rows)
        if are_features(rows[:, np.argsort(self._order)]):
            return
        if any(are_features(rows[:, order]) for order in permutations(range(len(FEATURES)))):
            raise ModelFormatError(f"{MANIFEST_FILE} names the features in another order than its sample has them")

    def _check_sample(self) -> None:
        rows, expected = _sample(self.manifest)
        try:
            scores = self.predict(rows)
        except Exception as error:  # whatever a foreign library raises on a file from outside is a refusal
            raise ModelFormatError(f"it fails on the manifest's sample: {error}") from error
        gap = np.abs(scores - expected).max() if scores.shape == expected.shape else np.nan
        if not gap <= SAMPLE_TOLERANCE:
            raise ModelFormatError(f"it scores the manifest's sample {gap:.2g} off; at most {SAMPLE_TOLERANCE:g}")

    def _explain(self, leaves: Leaves) -> None:
        self._explained: dict[bytes, list[dict[str, Any]]] = {}
        rows, _ = _sample(self.manifest)
        self._attributions = Attributions(leaves, rows)
        probes = np.concatenate([rows, _edge_rows(leaves, rows)])
        margins = self._attributions.base + self._attributions.contributions(probes).sum(axis=1)
        self._slope, intercept = fit_line(margins, self.predict(probes))
        self.base_log_odds = self._slope * self._attributions.base + intercept


def _sample(manifest: Manifest) -> tuple[Rows, NDArray[np.float64]]:
    return np.array(manifest.sample.rows, dtype=np.float32), np.array(manifest.sample.scores)


def _edge_rows(leaves: Leaves, rows: Rows) -> Rows:
    """Rows exactly on thresholds and one float above: where two readings of the same trees would part."""
    chance = np.random.default_rng(0)
    columns = []
    for feature in range(len(FEATURES)):
        edges = leaves.high[np.isfinite(leaves.high[:, feature]), feature]
        values = np.concatenate([rows[:, feature], edges, np.nextafter(edges, np.float32(np.inf))])
        columns.append(chance.choice(values, _EDGE_ROWS))
    return np.stack(columns, axis=1)


def _open(content: bytes) -> Any:
    options = onnxruntime.SessionOptions()
    # One thread that sleeps when it has nothing to do: spinning ones would take the poll thread's core.
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    # Else bytes that say so would be read as a flatbuffer, past the checks of the ONNX file.
    options.add_session_config_entry("session.load_model_format", "ONNX")
    options.log_severity_level = 4  # it raises what it would log
    try:
        session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # its exceptions have no common class of their own
        raise ModelFormatError(f"ONNX Runtime refuses it: {error}") from error
    inputs, outputs = session.get_inputs(), {output.name: output for output in session.get_outputs()}
    if [(i.type, i.shape[1:]) for i in inputs] != [("tensor(float)", [len(FEATURES)])]:
        found = ", ".join(f"{i.name} {i.type} {i.shape}" for i in inputs)
        raise ModelFormatError(f"its inputs are {found or 'none'}; must be one tensor(float) [n, {len(FEATURES)}]")
    output = outputs.get(_OUTPUT)
    if output is None or output.type != "tensor(float)" or output.shape[1:] != [2]:
        found = ", ".join(f"{o.name} {o.type} {o.shape}" for o in outputs.values())
        raise ModelFormatError(f"its outputs are {found}; must include {_OUTPUT}, tensor(float) [n, 2]")
    return session
