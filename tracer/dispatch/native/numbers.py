"""Writes the C++ header of the numbers of accesses, checks and operations, from the tables of tracer/guards.

setup.py runs this file by its path before the extensions are compiled, so it reads the tables as text: importing them
needs torch and the extensions themselves. Nothing here is used once the extensions are built.
"""

from __future__ import annotations

import ast
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[3]


class Table(NamedTuple):
    """A dict of `tracer/guards` whose rows are calls with a number as first argument, and the C++ enum made of it."""

    enum: str
    name: str
    path: str


TABLES = (
    Table("Access", "ACCESSORS", "tracer/guards/source.py"),
    Table("Check", "CHECKS", "tracer/guards/checks.py"),
    Table("Operation", "OPERATIONS", "tracer/guards/checks.py"),
)

SPELLINGS = {
    "+": "add",
    "-": "subtract",
    "*": "multiply",
    "//": "divide",
    "%": "modulo",
    "==": "equal",
    "!=": "unequal",
    "<": "less",
    "<=": "less_equal",
    ">": "greater",
    ">=": "greater_equal",
    "and": "both",
    "or": "either",
    "not": "negation",
}
"""Enumerators of the rows whose names are no identifiers of C++."""

HEADER = """\
// Generated from the tables of tracer/guards by tracer/dispatch/native/numbers.py when the extensions are built.
#pragma once

#include <cstdint>

namespace bytegraph {

// One row of a Python table: its name and its number.
struct NamedNumber {
  const char* name;
  long number;
};
"""

ARITY = """
// How many operands an operation takes from the stack.
constexpr int arity(Operation operation) {{
  switch (operation) {{
{cases}
  }}
  return 0;
}}
"""

FOOTER = """
}  // namespace bytegraph
"""


def header(root: Path = ROOT) -> str:
    """The text of the header. Raises ValueError where a table cannot be read or two rows share a number."""
    parts = [HEADER]
    for table in TABLES:
        rows = read_rows(root / table.path, table.name)
        numbers = {name: numbers[0] for name, numbers in rows.items()}
        parts.append(_enum_text(table, numbers))
        if table.enum == "Operation":
            cases = [f"    case Operation::{enumerator(name)}: return {row[1]};" for name, row in rows.items()]
            parts.append(ARITY.format(cases="\n".join(cases)))
    return "".join([*parts, FOOTER])


def read_rows(path: Path, table: str) -> dict[str, list[int]]:
    """For each row of the dict assigned to `table` in the file: the integers that its call begins with."""
    literal_rows = [
        statement.value
        for statement in ast.parse(path.read_text()).body
        if isinstance(statement, ast.AnnAssign)
        and isinstance(statement.target, ast.Name)
        and statement.target.id == table
    ]
    if len(literal_rows) != 1 or not isinstance(literal_rows[0], ast.Dict):
        raise ValueError(f"{path}: {table} is not one annotated dict display")
    rows: dict[str, list[int]] = {}
    for key, value in zip(literal_rows[0].keys, literal_rows[0].values, strict=True):
        numbers = _leading_integers(value)
        if not (isinstance(key, ast.Constant) and isinstance(key.value, str) and numbers):
            raise ValueError(f"{path}:{value.lineno}: a row of {table} is a name and a call that begins with a number")
        if key.value in rows:
            raise ValueError(f"{path}:{value.lineno}: {table} has two rows named {key.value!r}")
        same = next((name for name, others in rows.items() if others[0] == numbers[0]), None)
        if same is not None:
            raise ValueError(f"{path}:{value.lineno}: {key.value!r} and {same!r} of {table} have the same number")
        if not 0 <= numbers[0] < 256:
            raise ValueError(f"{path}:{value.lineno}: the number of {key.value!r} does not fit into 8 bits")
        rows[key.value] = numbers
    return rows


def _leading_integers(value: ast.expr) -> list[int]:
    numbers: list[int] = []
    for argument in value.args if isinstance(value, ast.Call) else ():
        if not (isinstance(argument, ast.Constant) and type(argument.value) is int):
            break
        numbers.append(argument.value)
    return numbers


def enumerator(name: str) -> str:
    """The C++ identifier for a row. Raises ValueError if there is none."""
    spelled = SPELLINGS.get(name, name.replace(" ", "_"))
    if not spelled.isidentifier():
        raise ValueError(f"{name!r} is no identifier of C++: give it a spelling in {__file__}")
    return spelled


def _enum_text(table: Table, numbers: dict[str, int]) -> str:
    lines = [f"\n// {table.name} of {table.path}.", f"enum class {table.enum} : uint8_t {{"]
    lines += [f"  {enumerator(name)} = {number}," for name, number in numbers.items()]
    lines += ["};", "", f"constexpr NamedNumber {table.enum.lower()}_numbers[] = {{"]
    lines += [f'    {{"{name}", {number}}},' for name, number in numbers.items()]
    return "\n".join([*lines, "};", ""])


def write(path: Path) -> None:
    """Write the header to `path`, unless it is there with the same text: so that an unchanged one builds nothing."""
    text = header()
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists() or path.read_text() != text:
        path.write_text(text)
