"""Results as text: columns under their names, numbers to the right."""

from collections.abc import Sequence


def table(names: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Lines with the columns aligned.

    >>> print(table(["what", "µs"], [["decode", 2.5], ["all", 12.25]]))
    what       µs
    decode   2.50
    all     12.25
    """
    cells = [list(names), *([_text(cell) for cell in row] for row in rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(names))]
    return "\n".join(_line(row, widths) for row in cells)


def _line(row: list[str], widths: list[int]) -> str:
    name, *numbers = row
    padded = [cell.rjust(width) for cell, width in zip(numbers, widths[1:], strict=True)]
    return "  ".join([name.ljust(widths[0]), *padded]).rstrip()


def _text(cell: object) -> str:
    if isinstance(cell, float):
        return f"{cell:,.2f}" if abs(cell) < 100 else f"{cell:,.0f}"
    return f"{cell:,}" if isinstance(cell, int) else str(cell)
