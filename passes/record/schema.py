"""The schema of a corpus: the columns of its Parquet files, and its version.

A corpus is a folder of files `calls-*.parquet`. A row stands for `count` equal calls. Tensors and other values are
JSON text (passes/record/values.py): a dictionary-encoded column of text holds each of the few different ones once.
Parquet is written in storage.py.

At the level `aten` calls are seen below autograd, so that a result there never requires a gradient, and `requires_grad`
is right for arguments only. At the level `function` it is right for both.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

VERSION: Final = 1  # of the columns and their JSON; raised with every change that old readers would misread
VERSION_KEY: Final = b"bytegraph_corpus_version"  # in the metadata of every file
FILE_PREFIX: Final = "calls-"

LEVELS: Final = ("aten", "function")

Texts = tuple[str, ...]
Indices = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Column:
    """One column: its type as duckdb writes it, and what it holds."""

    name: str
    type: str
    meaning: str


COLUMNS: Final = (
    Column("op", "VARCHAR", "the operator: `aten::sum.dim_IntList`, or `torch.Tensor.add_` at the function level"),
    Column("level", "VARCHAR", "where the call was seen: `aten` (dispatch mode) or `function` (function mode)"),
    Column(
        "arguments",
        "MAP(VARCHAR, VARCHAR)",
        'arguments by name, in the schema\'s order and with its defaults, as JSON; a tensor is {"tensor": i}, the '
        'i-th of `given`; a Python number in the place of a tensor is {"wrapped": number}',
    ),
    Column("given", "VARCHAR[]", "the facts of every tensor among the arguments before the call, as JSON"),
    Column("given_storage", "SMALLINT[]", "for each of `given` a number: tensors with equal numbers share memory"),
    Column(
        "given_same", "SMALLINT[]", "for each of `given` the first of them that is the same tensor (itself, mostly)"
    ),
    Column("written", "VARCHAR[]", "for each of `given` its facts after the call if it was written to, else null"),
    Column(
        "result",
        "VARCHAR",
        'what was returned, as JSON; a tensor is {"tensor": i}, the i-th of `returned`; of a number, which is '
        'data, only the type is kept: {"number": "float"}',
    ),
    Column("returned", "VARCHAR[]", "the facts of every tensor in the result, as JSON"),
    Column("returned_storage", "SMALLINT[]", "as `given_storage`, counted on: a number of `given` tells an alias"),
    Column("returned_same", "SMALLINT[]", "for each of `returned` the number in `given` of the tensor it is, or -1"),
    Column("error", "VARCHAR", "the exception's type if the call raised, else null; then there is no result"),
    Column("message", "VARCHAR", "what the exception said"),
    Column("torch", "VARCHAR", "the version of torch"),
    Column(
        "location",
        "VARCHAR",
        "`file:line` of the user's code where such a call was first seen, or its origin: `opinfo add`, "
        "`model gpt2 at file:line`; after merging `model bert,gpt2 at file:line` if both made it",
    ),
    Column("count", "BIGINT", "how many calls were like this"),
)
NAMES: Final = tuple(column.name for column in COLUMNS)
INPUT_NAMES: Final = ("op", "level", "arguments", "given", "given_storage", "given_same")
OUTCOME_NAMES: Final = (
    "written",
    "result",
    "returned",
    "returned_storage",
    "returned_same",
    "error",
    "message",
)
KEY_NAMES: Final = (*INPUT_NAMES, *OUTCOME_NAMES, "torch")  # equal in equal calls; the other columns are about a row
ORDER: Final = ("op", "level", "arguments", "given")  # rows of a file are sorted by these

# What `tensor(text)` is in SQL for a tensor's JSON: the type of each fact, and its value if the JSON has none.
TENSOR_FACTS: Final[dict[str, tuple[str, str | None]]] = {
    "dtype": ("VARCHAR", None),
    "size": ("BIGINT[]", None),
    "stride": ("BIGINT[]", None),
    "storage_offset": ("BIGINT", "0"),
    "device": ("VARCHAR", "'cpu'"),
    "layout": ("VARCHAR", "'strided'"),
    "requires_grad": ("BOOLEAN", "false"),
    "conj": ("BOOLEAN", "false"),
    "neg": ("BOOLEAN", "false"),
    "nested": ("BOOLEAN", "false"),
    "values": ("BIGINT[]", None),
}

# How `location` names the models that made a call, and the SQL that reads the names and the rest.
MODEL_SEPARATOR: Final = ","
MODELS_IN_SQL: Final = (
    "case when starts_with(location, 'model ') "
    f"then string_split(split_part(location, ' ', 2), '{MODEL_SEPARATOR}') else [] end"
)
PLACE_IN_SQL: Final = (
    "case when starts_with(location, 'model ') then location[strpos(location, ' at ') + 4:] else '' end"
)

Row = dict[str, Any]


class CorpusError(ValueError):
    """A corpus cannot be read or written; the message says which file, and why."""
