"""Tables of docs/configuration.md and docs/metrics.md, made from the model and the table of metrics.

`python -m runtime.reference` writes them anew between their markers; a test tells when they are not current.
"""

import re
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from runtime import kafka
from runtime.client_properties import REFUSED
from runtime.config import Settings
from runtime.config_faults import allowed
from runtime.config_toml import toml_value
from runtime.metric_families import FAMILIES, Family

PAGES = (Path("configuration.md"), Path("metrics.md"))


def current(page: str) -> str:
    """A page with its tables made anew.

    Args:
        page: Markdown with pairs of `<!-- table: NAME -->` and `<!-- end -->`.

    Raises:
        KeyError: There is no table of that name.
    """
    return re.sub(
        r"(<!-- table: (\w+) -->\n).*?(<!-- end -->)",
        lambda found: f"{found[1]}\n{_TABLES[found[2]]()}\n{found[3]}",
        page,
        flags=re.DOTALL,
    )


def settings_tables() -> str:
    """A table for each section of the configuration."""
    return "\n".join(_section(name, field) for name, field in Settings.model_fields.items())


def refused_table() -> str:
    """The properties that `kafka.client` may not set, grouped by their reason."""
    by_reason: dict[str, list[str]] = {}
    for name, reason in REFUSED.items():
        by_reason.setdefault(reason, []).append(f"`{name}`")
    rows = [(", ".join(names), reason) for reason, names in by_reason.items()]
    return _table(("property", "why"), rows)


def defaults_table() -> str:
    """What the clients start with, and `kafka.client` may change."""
    groups = (
        ("consumer", kafka.CONSUMER_DEFAULTS),
        ("producers", kafka.PRODUCER_DEFAULTS),
        ("transactional producer", kafka.TRANSACTION_DEFAULTS),
    )
    rows = [(f"`{name}`", f"`{value}`", client) for client, values in groups for name, value in values.items()]
    return _table(("property", "starts with", "client"), rows)


def metrics_table() -> str:
    """Every metric with its labels, its meaning and what to do about it."""
    rows = [(f"`{family.name}`", _kind(family), family.meaning, family.remedy) for family in FAMILIES]
    return _table(("metric", "kind, labels", "meaning", "when it looks bad"), rows)


def edges_table() -> str:
    """The bucket edges of the histograms."""
    rows = [(f"`{f.name}`", ", ".join(f"{edge:g}" for edge in f.edges)) for f in FAMILIES if f.edges]
    return _table(("histogram", "edges"), rows)


def _section(name: str, field: FieldInfo) -> str:
    model = field.annotation
    assert isinstance(model, type)
    assert issubclass(model, BaseModel)
    rows = [
        (f"`{key}`", _default(item), allowed(item), item.description or "") for key, item in model.model_fields.items()
    ]
    return f"### `[{name}]`\n\n{model.__doc__}\n\n{_table(('key', 'default', 'allowed', 'meaning'), rows)}"


def _default(field: FieldInfo) -> str:
    extra = field.json_schema_extra
    if isinstance(extra, dict) and "default" in extra:
        return str(extra["default"])
    if field.default_factory is dict:
        return "empty"
    return f"`{toml_value(field.get_default())}`"


def _kind(family: Family) -> str:
    labels = [f"`{name}`" + (f" = {', '.join(values)}" if values else "") for name, values in family.labels.items()]
    return "; ".join([family.kind, *labels])


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |\n" for line in lines)


_TABLES: dict[str, Callable[[], str]] = {
    "settings": settings_tables,
    "refused": refused_table,
    "defaults": defaults_table,
    "metrics": metrics_table,
    "edges": edges_table,
}


def main(folder: Path) -> None:
    """Writes the tables of the pages in a folder anew."""
    for page in PAGES:
        path = folder / page
        path.write_text(current(path.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "docs"))
