"""Policy files: what is accepted, every fault at once with key, value and what is allowed, and the version."""

from __future__ import annotations

import math
import tomllib
from importlib import resources
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given

from scoring.policy import Policy, PolicyError
from tests.unit.scoring.strategies import policies, policy_data

BANDS = policy_data()["bands"]
CONFIDENCE = policy_data()["confidence"]


def faults(data: dict[str, Any]) -> list[str]:
    with pytest.raises(PolicyError) as caught:
        Policy.from_mapping(data)
    return caught.value.faults


def bands(*below: Any, names: str = "abcdefgh") -> list[dict[str, Any]]:
    edges = [{"decision": name, "below": edge} for name, edge in zip(names, below, strict=False)]
    return [*edges, {"decision": names[len(edges)]}]


def with_bands(*given: dict[str, Any]) -> dict[str, Any]:
    return policy_data(bands=list(given), fallback={})


@pytest.mark.parametrize("name", ["default", "three_way"])
def test_what_ships_is_what_the_contract_says(name: str) -> None:
    """The packaged files hold contract 6's figures."""
    shipped = tomllib.loads((resources.files("scoring") / "policies" / f"{name}.toml").read_text())
    expected = policy_data()
    if name == "three_way":
        del expected["review"]
        expected |= {
            "name": "three_way",
            "bands": [
                {"decision": "nurture", "below": 0.40},
                {"decision": "email_sequence", "below": 0.70},
                {"decision": "contact_now"},
            ],
            "fallback": {"cap": "email_sequence"},
        }
    assert shipped == expected


@given(policies())
def test_valid_policies_load(data: dict[str, Any]) -> None:
    """Whatever keeps the rules is accepted."""
    assert Policy.from_mapping(data).name == "drawn"


@pytest.mark.parametrize(
    ("data", "key", "value"),
    [
        (policy_data(bands=bands(0.5, 0.4), fallback={}), "bands[1].below", "0.4"),
        (policy_data(bands=bands(0.5, 0.5), fallback={}), "bands[1].below", "0.5"),
        (policy_data(bands=bands(0.0), fallback={}), "bands[0].below", "0.0"),
        (policy_data(bands=bands(1.5), fallback={}), "bands[0].below", "1.5"),
        (policy_data(bands=bands(-0.1), fallback={}), "bands[0].below", "-0.1"),
        (policy_data(bands=bands(math.nan), fallback={}), "bands[0].below", "nan"),
        (policy_data(bands=bands(math.inf), fallback={}), "bands[0].below", "inf"),
        (policy_data(bands=bands("0.5"), fallback={}), "bands[0].below", "'0.5'"),
        (policy_data(bands=bands(True), fallback={}), "bands[0].below", "True"),
        (with_bands({"decision": "a"}, {"decision": "b"}), "bands[0].below", "(nothing)"),
        (with_bands({"decision": "a", "below": 0.5}), "bands[0].below", "0.5"),
        (with_bands({"decision": "a", "below": 0.5}, {"decision": "a"}), "bands[1].decision", "'a'"),
        (with_bands({"decision": "Call"}), "bands[0].decision", "'Call'"),
        (with_bands({"decision": "call-now"}), "bands[0].decision", "'call-now'"),
        (with_bands({"decision": "call now"}), "bands[0].decision", "'call now'"),
        (with_bands({"decision": "call.now"}), "bands[0].decision", "'call.now'"),
        (with_bands({"decision": "anrüfe"}), "bands[0].decision", "'anrüfe'"),
        (with_bands({"decision": "call\n"}), "bands[0].decision", "'call\\n'"),
        (with_bands({"decision": ""}), "bands[0].decision", "''"),
        (with_bands({"decision": "_"}), "bands[0].decision", "'_'"),
        (with_bands({"decision": "x" * 65}), "bands[0].decision", repr("x" * 65)),
        (with_bands({"decision": 7}), "bands[0].decision", "7"),
        (with_bands({}), "bands[0].decision", "(nothing)"),
        (with_bands(), "bands", "[]"),
        (policy_data(bands="all"), "bands", "'all'"),
        (policy_data(bands=["all"], fallback={}), "bands[0]", "'all'"),
        (with_bands({"decision": "a", "above": 0.1}), "bands[0].above", "0.1"),
        (policy_data(fallback={"cap": "nobody"}), "fallback.cap", "'nobody'"),
        (policy_data(fallback={"cap": "manual_review"}), "fallback.cap", "'manual_review'"),
        (policy_data(fallback={"cap": 1}), "fallback.cap", "1"),
        (policy_data(fallback={"ceiling": "nurture"}), "fallback.ceiling", "'nurture'"),
        (policy_data(review={"decision": "nurture", "confidence": ["LOW"]}), "review.decision", "'nurture'"),
        (policy_data(review={"decision": "Ask", "confidence": ["LOW"]}), "review.decision", "'Ask'"),
        (policy_data(review={"decision": "ask", "confidence": ["TINY"]}), "review.confidence[0]", "'TINY'"),
        (policy_data(review={"decision": "ask", "confidence": []}), "review.confidence", "[]"),
        (policy_data(review={"decision": "ask", "confidence": "LOW"}), "review.confidence", "'LOW'"),
        (policy_data(review={"decision": "ask"}), "review.confidence", "(nothing)"),
        (policy_data(confidence=CONFIDENCE | {"low": [0.5, 0.45]}), "confidence.low[1]", "0.45"),
        (policy_data(confidence=CONFIDENCE | {"low": [0.2, 0.5]}), "confidence.low[0]", "0.2"),
        (policy_data(confidence=CONFIDENCE | {"low": [0.45, 0.8]}), "confidence.high_from", "0.7"),
        (policy_data(confidence=CONFIDENCE | {"low": [0.45]}), "confidence.low[1]", "(nothing)"),
        (policy_data(confidence=CONFIDENCE | {"low": [0.45, 0.5, 0.6]}), "confidence.low", "[0.45, 0.5, 0.6]"),
        (policy_data(confidence=CONFIDENCE | {"low": 0.45}), "confidence.low", "0.45"),
        (policy_data(confidence=CONFIDENCE | {"high_from": 1.1}), "confidence.high_from", "1.1"),
        (policy_data(confidence=CONFIDENCE | {"high_below": math.nan}), "confidence.high_below", "nan"),
        (policy_data(confidence=CONFIDENCE | {"middle": 0.5}), "confidence.middle", "0.5"),
        (policy_data(repeat_after_days=-1), "repeat_after_days", "-1"),
        (policy_data(repeat_after_days=math.nan), "repeat_after_days", "nan"),
        (policy_data(repeat_after_days=math.inf), "repeat_after_days", "inf"),
        (policy_data(repeat_after_days="7"), "repeat_after_days", "'7'"),
        (policy_data(repeat_after_days=False), "repeat_after_days", "False"),
        (policy_data(always_publish=["CALL"]), "always_publish[0]", "'CALL'"),
        (policy_data(always_publish=["demo_request"]), "always_publish[0]", "'demo_request'"),
        (policy_data(always_publish="DEMO_REQUEST"), "always_publish", "'DEMO_REQUEST'"),
        (policy_data(name=""), "name", "''"),
        (policy_data(name="a@b"), "name", "'a@b'"),
        (policy_data(name=3), "name", "3"),
        (policy_data(colour="red"), "colour", "'red'"),
        (policy_data(bands=bands(10**400), fallback={}), "bands[0].below", f"1{'0' * 78}…"),
        (policy_data(repeat_after_days=10**400), "repeat_after_days", f"1{'0' * 78}…"),
    ],
)
def test_a_fault_is_told(data: dict[str, Any], key: str, value: str) -> None:
    """One fault gives one line: the key, the value, and what is allowed."""
    (fault,) = faults(data)
    assert fault.startswith(f"{key} = {value}: ")
    assert len(fault) > len(f"{key} = {value}: ")


@pytest.mark.parametrize("key", ["name", "bands"])
def test_what_must_be_given(key: str) -> None:
    """A policy without a name or without bands is refused."""
    data = policy_data(fallback={})
    del data[key]
    (fault,) = faults(data)
    assert fault == f"{key} = (nothing): must be given"


def test_all_faults_at_once() -> None:
    """Faults of single values, and those between values, are told together, in the file's order within each kind."""
    data = policy_data(
        bands=[{"decision": "a", "below": 1.5}, {"decision": "a", "below": 0.5}, {"decision": "c", "below": 0.4}],
        confidence={"high_from": 0.1, "high_below": "x", "low": [0.45, 0.5]},
        review={"decision": "c", "confidence": ["SOME"]},
        fallback={"cap": "z"},
        repeat_after_days=-1,
        always_publish=["CALL"],
        extra=1,
    )
    keys = {fault.split(" = ")[0] for fault in faults(data)}
    assert keys == {
        "bands[0].below",
        "bands[1].decision",
        "bands[2].below",
        "confidence.high_from",
        "confidence.high_below",
        "review.decision",
        "review.confidence[0]",
        "fallback.cap",
        "repeat_after_days",
        "always_publish[0]",
        "extra",
    }


def test_what_is_left_out_is_as_in_default() -> None:
    """Name and bands are enough: the rest is the default policy's, without review and cap."""
    short = Policy.from_mapping({"name": "p", "bands": BANDS})
    data = policy_data(name="p", fallback={})
    del data["review"]
    assert short.file == Policy.from_mapping(data).file


def test_a_file_is_read(tmp_path: Path) -> None:
    """A path leads to the policy that stands there, as string and as Path."""
    path = tmp_path / "mine.toml"
    path.write_text('name = "mine"\nbands = [{ decision = "call" }]\n')
    assert Policy.load(path).version == Policy.load(str(path)).version
    assert Policy.load(path).decisions == ("call",)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    """A name that is neither a packaged policy nor a file is refused with the names that are known."""
    with pytest.raises(PolicyError, match=r"No such file.*default, three_way") as caught:
        Policy.load(tmp_path / "none.toml")
    assert str(tmp_path / "none.toml") in str(caught.value)


@pytest.mark.parametrize("content", [b"name = ", b"\xff\xfe", b"name = 'a'\nname = 'b'"])
def test_a_file_that_is_not_toml(tmp_path: Path, content: bytes) -> None:
    """A file that does not parse is refused."""
    path = tmp_path / "broken.toml"
    path.write_bytes(content)
    with pytest.raises(PolicyError, match="is not TOML"):
        Policy.load(path)


def test_a_directory_is_refused(tmp_path: Path) -> None:
    """A path that cannot be read is a fault of the policy, not a crash."""
    with pytest.raises(PolicyError, match="cannot be read"):
        Policy.load(tmp_path)


def test_the_version_has_name_and_digits() -> None:
    """`<name>@<8 hex digits>`."""
    name, _, digits = Policy.load("three_way").version.partition("@")
    assert name == "three_way"
    assert len(digits) == 8
    assert int(digits, 16) >= 0


@pytest.mark.parametrize(
    "change",
    [
        {"name": "other"},
        {"bands": bands(0.31, 0.7, names=["disqualify", "nurture", "contact_now"])},  # type: ignore[arg-type]
        {"confidence": CONFIDENCE | {"low": [0.45, 0.51]}},
        {"review": {"decision": "manual_review", "confidence": ["LOW", "MEDIUM"]}},
        {"fallback": {}},
        {"repeat_after_days": 8},
        {"always_publish": []},
    ],
)
def test_every_field_moves_the_version(change: dict[str, Any]) -> None:
    """A policy that decides otherwise has another version."""
    assert Policy.from_mapping(policy_data(**change)).version != Policy.load("default").version


def test_the_looks_of_a_file_do_not_move_the_version() -> None:
    """Comments, order of keys, 7 for 7.0 and a list's repetitions change nothing that is effective."""
    data = dict(reversed(policy_data(repeat_after_days=7.0, always_publish=["DEMO_REQUEST"] * 2).items()))
    assert Policy.from_mapping(data).version == Policy.load("default").version


def test_a_byte_order_mark_is_no_part_of_a_file(tmp_path: Path) -> None:
    """Editors on Windows write it."""
    shipped = (resources.files("scoring") / "policies" / "default.toml").read_bytes()
    (path := tmp_path / "policy.toml").write_bytes(b"\xef\xbb\xbf" + shipped)
    assert Policy.load(path).version == Policy.load("default").version


def test_brackets_without_end_are_no_toml(tmp_path: Path) -> None:
    """The parser gives up by another error."""
    (path := tmp_path / "policy.toml").write_text("a = " + "[" * 9999)
    with pytest.raises(PolicyError, match="is not TOML"):
        Policy.load(path)
