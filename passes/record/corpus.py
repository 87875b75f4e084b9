"""Corpora: questions about recorded calls, and merging and comparing corpora.

Whatever concerns all rows is done by duckdb or pyarrow, never row by row in Python.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from passes.record import storage
from passes.record.calls import Call, call_of
from passes.record.schema import (
    FILE_PREFIX,
    INPUT_NAMES,
    KEY_NAMES,
    MODEL_SEPARATOR,
    MODELS_IN_SQL,
    NAMES,
    OUTCOME_NAMES,
    PLACE_IN_SQL,
    TENSOR_FACTS,
    CorpusError,
)

if TYPE_CHECKING:
    import duckdb
    import pyarrow

DEFAULT_MEMORY: Final = 256 << 20


# The location of calls that are merged: all models that made them, or another location if one is known.
MERGED_LOCATION: Final = (
    "coalesce(min(location) filter (not starts_with(location, 'model ')), "
    f"'model ' || array_to_string(list_sort(list_distinct(flatten(list({MODELS_IN_SQL})))), '{MODEL_SEPARATOR}') "
    f"|| ' at ' || min({PLACE_IN_SQL}))"
)
MERGED: Final = (
    f"select {', '.join(KEY_NAMES)}, {MERGED_LOCATION} as location, sum(count)::bigint as count "
    f"from calls group by {', '.join(KEY_NAMES)}"
)


@dataclass(frozen=True, slots=True)
class Statistics:
    """Numbers of a corpus. `calls` counts every call that was made, `signatures` different ones; `bytes` is on disk."""

    files: int
    bytes: int
    rows: int
    signatures: int
    calls: int
    operators: int
    errors: int
    levels: tuple[str, ...]
    torch_versions: tuple[str, ...]

    @property
    def bytes_per_call(self) -> float:
        """Bytes on disk for each distinct call; 0 for an empty corpus."""
        return self.bytes / self.calls if self.calls else 0.0


@dataclass(frozen=True, slots=True)
class CorpusDifference:
    """How two corpora differ in one operator: signatures in one of them only, and signatures with another outcome."""

    op: str
    level: str
    only_left: int
    only_right: int
    changed: int
    same: int


class Corpus:
    """The recorded calls in one folder. Raises CorpusError if it has none, or none that can be read.

    `memory` bounds, in bytes, what duckdb keeps in memory.
    """

    def __init__(self, folder: str | os.PathLike[str], memory: int = DEFAULT_MEMORY) -> None:
        self.folder = Path(folder)
        self.files = storage.files_of(self.folder)
        self._memory = memory

    @cached_property
    def connection(self) -> duckdb.DuckDBPyConnection:
        """A duckdb connection with the view `calls`, and with `tensor(text)`: the facts of a tensor as a struct."""
        connection = connect(self._memory)
        _add_view(connection, "calls", self.files)
        return connection

    def sql(self, query: str) -> tuple[list[str], list[tuple[Any, ...]]]:
        """The column names and the rows of a query. Raises CorpusError with duckdb's message if it is wrong."""
        import duckdb

        try:
            cursor = self.connection.execute(query)
        except duckdb.Error as error:
            raise CorpusError(str(error)) from error
        return [column[0] for column in cursor.description or ()], cursor.fetchall()

    def statistics(self) -> Statistics:
        """The numbers of this corpus."""
        (row,) = self.sql(
            "select count(*), sum(count)::bigint, count(distinct op), count(*) filter (error is not null), "
            "list_sort(list(distinct level)), list_sort(list(distinct torch)) from calls"
        )[1]
        ((signatures,),) = self.sql(f"select count(*) from (select distinct {_listed(KEY_NAMES)} from calls)")[1]
        return Statistics(
            files=len(self.files),
            bytes=sum(file.stat().st_size for file in self.files),
            rows=row[0],
            signatures=signatures,
            calls=row[1] or 0,
            operators=row[2],
            errors=row[3],
            levels=tuple(row[4] or ()),
            torch_versions=tuple(row[5] or ()),
        )

    def operators(self) -> list[tuple[str, str, int, int]]:
        """Operator, level, rows and calls of every operator; the most called first."""
        query = "select op, level, count(*), sum(count)::bigint from calls group by all order by 4 desc, 1, 2"
        return [tuple(row) for row in self.sql(query)[1]]  # type: ignore[misc]

    def load(self, op: str | None = None, columns: Sequence[str] = NAMES) -> pyarrow.Table:
        """All rows, or those of one operator, as a pyarrow table."""
        return storage.read(self.files, columns, op)

    def by_operator(self, columns: Sequence[str] = NAMES) -> dict[str, pyarrow.Table]:
        """All rows by operator. Files are sorted by operator, so that each group is made of slices, not of copies."""
        import pyarrow as pa
        import pyarrow.compute as compute

        slices: dict[str, list[pyarrow.Table]] = {}
        for file in self.files:
            table = storage.read([file], columns)
            first = start = 0  # the first row of the chunk, and of the operator
            for chunk in table["op"].chunks:
                runs = compute.call_function("run_end_encode", [chunk.dictionary_decode()])
                for op, end in zip(runs.values.to_pylist(), runs.run_ends.to_pylist(), strict=True):
                    slices.setdefault(op, []).append(table.slice(start, first + end - start))
                    start = first + end
                first += len(chunk)
        return {op: pa.concat_tables(tables) for op, tables in slices.items()}

    def calls(self, op: str | None = None, most: int | None = None) -> Iterator[Call]:
        """Calls, all or of one operator; the most frequent first, at most `most`."""
        rows = self.load(op).sort_by([("count", "descending")])
        for row in rows.slice(0, most).to_pylist():
            yield call_of(row)

    def matching(self, pattern: str) -> list[str]:
        """The operators whose names contain `pattern`; if one has exactly this name, only that one."""
        names = sorted({op for op, *_ in self.operators()})
        return [pattern] if pattern in names else [name for name in names if pattern in name]


def connect(memory: int) -> duckdb.DuckDBPyConnection:
    """An empty database in memory, which spills to disk beyond about `memory` bytes."""
    try:
        import duckdb
    except ImportError as error:
        raise CorpusError("queries on a corpus need duckdb: pip install 'bytegraph[rules]'") from error
    connection = duckdb.connect()
    connection.execute(f"set memory_limit = '{memory}B'; set preserve_insertion_order = false; set threads = 2")
    form = ", ".join(f'"{name}": {_json_form(kind)}' for name, (kind, _) in TENSOR_FACTS.items())
    facts = ", ".join(
        f'"{name}" := {_field(name)}' if usual is None else f'"{name}" := coalesce({_field(name)}, {usual})'
        for name, (_, usual) in TENSOR_FACTS.items()
    )
    connection.execute(
        f"create macro tensor(text) as list_transform([from_json(text, '{{{form}}}')], lambda facts: "
        f"struct_pack({facts}))[1]"
    )
    return connection


def _json_form(kind: str) -> str:
    return f'["{kind.removesuffix("[]")}"]' if kind.endswith("[]") else f'"{kind}"'


def _field(name: str) -> str:
    return f'facts."{name}"'


def _add_view(connection: duckdb.DuckDBPyConnection, name: str, files: Iterable[Path]) -> None:
    listed = ", ".join("'" + str(file).replace("'", "''") + "'" for file in files)
    connection.execute(f'create view "{name}" as select * from read_parquet([{listed}])')


def merge(sources: Sequence[Corpus], target: str | os.PathLike[str], memory: int = DEFAULT_MEMORY) -> Path:
    """Write one file with the calls of all `sources`, equal ones counted together, into the folder `target`.

    The files of `target` are replaced if it is among the sources; otherwise it must not hold a corpus yet.
    """
    folder = Path(target)
    files = [file for source in sources for file in source.files]
    if not any(source.folder.resolve() == folder.resolve() for source in sources):
        require_no_corpus(folder)
    return merge_files(list(dict.fromkeys(files)), folder / f"{FILE_PREFIX}merged.parquet", memory)


def require_no_corpus(folder: Path) -> None:
    """Raise CorpusError if the folder has files of a corpus."""
    if any(folder.glob(f"{FILE_PREFIX}*.parquet")):
        raise CorpusError(f"{folder} holds a corpus already; choose a new folder (merge: or name it as a source too)")


def merge_files(files: Sequence[Path], path: Path, memory: int = DEFAULT_MEMORY) -> Path:
    """Write one file with the calls of `files`, equal ones counted together; `files` in the same folder are removed."""
    storage.make_folder(path.parent)
    connection = connect(memory)
    spilled = str(path.parent.resolve() / ".merging").replace("'", "''")
    connection.execute(f"set temp_directory = '{spilled}'")
    _add_view(connection, "calls", files)
    write_query(connection, MERGED, path)
    connection.close()
    for file in files:
        if file != path and file.parent.resolve() == path.parent.resolve():
            file.unlink()
    return path


def write_query(connection: duckdb.DuckDBPyConnection, query: str, path: Path) -> int:
    """Write the rows of a query to a file of a corpus, sorted. Returns the number of rows."""
    reader = connection.sql(f"from ({query}) order by {_listed(KEY_NAMES)}").to_arrow_reader(storage.ROWS_IN_GROUP)
    schema = storage.arrow_schema()
    return storage.write(path, (storage.as_schema(batch, schema) for batch in reader))


def difference(left: Corpus, right: Corpus) -> list[CorpusDifference]:
    """Operators with calls that one corpus lacks, or that have another outcome; the most different first."""
    connection = connect(DEFAULT_MEMORY)
    _add_view(connection, "left_calls", left.files)
    _add_view(connection, "right_calls", right.files)
    outcome = f"list_sort(list(distinct struct_pack({', '.join(f'{n} := {n}' for n in OUTCOME_NAMES)})::varchar))"
    grouped = f"select {_listed(INPUT_NAMES)}, {outcome} as outcomes from {{}} group by {_listed(INPUT_NAMES)}"
    matching = " and ".join(f"l.{name} = r.{name}" for name in INPUT_NAMES)
    rows = connection.execute(
        f"select coalesce(l.op, r.op) as op, coalesce(l.level, r.level) as level, "
        f"count(*) filter (r.op is null) as only_left, count(*) filter (l.op is null) as only_right, "
        f"count(*) filter (l.outcomes <> r.outcomes) as changed, count(*) filter (l.outcomes = r.outcomes) as same "
        f"from ({grouped.format('left_calls')}) l full join ({grouped.format('right_calls')}) r on {matching} "
        f"group by all having only_left + only_right + changed > 0 "
        f"order by changed desc, only_left + only_right desc, op, level"
    ).fetchall()
    connection.close()
    return [CorpusDifference(*row) for row in rows]


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names)
