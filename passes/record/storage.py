"""Parquet files of a corpus: written whole or not at all, and read.

Knows nothing of how calls are seen, or of questions about a corpus.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from passes.record.schema import COLUMNS, FILE_PREFIX, NAMES, VERSION, VERSION_KEY, CorpusError
from passes.record.table import RecordedInputs, RecordedOutcome

if TYPE_CHECKING:
    import pyarrow

COMPRESSION: Final = {"compression": "zstd", "compression_level": 12}
# Text that does not fit into a column's dictionary is written in full, so dictionaries may be large.
DICTIONARY_LIMIT: Final = 64 << 20
ROWS_IN_GROUP: Final = 1 << 18
# How Parquet names the text in a column of each type.
TEXT_IN: Final = {
    "VARCHAR": ("{}",),
    "VARCHAR[]": ("{}.list.element",),
    "MAP(VARCHAR, VARCHAR)": ("{}.key_value.key", "{}.key_value.value"),
}
TEXT_PATHS: Final = [path.format(column.name) for column in COLUMNS for path in TEXT_IN.get(column.type, ())]


def make_folder(folder: Path) -> None:
    """Make the folder of a corpus, if there is none. Raises CorpusError if it cannot be made."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise CorpusError(f"cannot make the folder {folder} of a corpus: {error.strerror}") from error


def require_pyarrow() -> None:
    """Raise CorpusError, saying what to install, if pyarrow is missing."""
    try:
        import pyarrow.parquet  # noqa: F401  # pyright: ignore[reportUnusedImport]
    except ImportError as error:
        raise CorpusError("corpora need pyarrow: pip install 'bytegraph[rules]'") from error


def arrow_schema() -> pyarrow.Schema:
    """The columns of schema.py as pyarrow's."""
    import pyarrow as pa

    types = {
        "VARCHAR": pa.string(),
        "VARCHAR[]": pa.list_(pa.string()),
        "SMALLINT[]": pa.list_(pa.int16()),
        "BIGINT": pa.int64(),
        "MAP(VARCHAR, VARCHAR)": pa.map_(pa.string(), pa.string()),
    }
    return pa.schema([(column.name, types[column.type]) for column in COLUMNS])


def table_of(rows: Iterable[tuple[RecordedInputs, RecordedOutcome]], torch_version: str) -> pyarrow.Table:
    """The rows of a recorder's table as a sorted pyarrow table."""
    import pyarrow as pa

    ordered = sorted(rows, key=lambda row: (row[0].op, row[0].level, row[0].arguments, row[0].given))
    columns: dict[str, Any] = {}
    for name in NAMES:
        if name == "torch":
            columns[name] = [torch_version] * len(ordered)
        elif name in RecordedInputs.__slots__:
            columns[name] = [getattr(inputs, name) for inputs, _ in ordered]
        else:
            columns[name] = [getattr(outcome, name) for _, outcome in ordered]
    return pa.table(columns, schema=arrow_schema())


def write(path: Path, batches: Iterable[pyarrow.Table | pyarrow.RecordBatch]) -> int:
    """Write one file of a corpus, which appears under its name when it is complete. Returns the rows written."""
    import pyarrow.parquet as parquet

    schema = arrow_schema()
    rows = 0
    with appearing_whole(path) as unfinished:
        options: dict[str, Any] = {
            **COMPRESSION,
            "dictionary_pagesize_limit": DICTIONARY_LIMIT,
            "data_page_size": DICTIONARY_LIMIT,
            "write_statistics": ["op", "level"],
            "store_schema": False,
        }
        with parquet.ParquetWriter(unfinished, schema, **options) as writer:
            for batch in batches:
                writer.write(batch, ROWS_IN_GROUP)
                rows += batch.num_rows
            writer.add_key_value_metadata({VERSION_KEY: str(VERSION)})
    return rows


def as_schema(batch: pyarrow.RecordBatch, schema: pyarrow.Schema) -> pyarrow.RecordBatch:
    """A batch with the columns and types of `schema`, whatever order and widths it came in."""
    import pyarrow as pa

    return pa.record_batch([batch.column(name).cast(schema.field(name).type) for name in schema.names], schema=schema)


@contextmanager
def appearing_whole(path: Path) -> Iterator[Path]:
    """A temporary path to write to, which becomes `path` at the end, or is removed if writing fails."""
    unfinished = path.with_name(f".{path.name}.{os.getpid()}.unfinished")
    try:
        yield unfinished
        with unfinished.open("rb") as written:
            os.fsync(written.fileno())
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)


def files_of(folder: Path) -> list[Path]:
    """The files of a corpus, checked. Raises CorpusError if it has none, or one of another schema."""
    if not folder.is_dir():
        raise CorpusError(f"{folder} is no folder; a corpus is a folder of {FILE_PREFIX}*.parquet, see `record -o`")
    files = sorted(folder.glob(f"{FILE_PREFIX}*.parquet"))
    if not files:
        raise CorpusError(f"{folder} has no {FILE_PREFIX}*.parquet: nothing was recorded there")
    for file in files:
        check(file)
    return files


def rows_in(files: Iterable[Path]) -> int:
    """How many rows some files have, from their footers."""
    import pyarrow.parquet as parquet

    return sum(parquet.read_metadata(file).num_rows for file in files)


def check(file: Path) -> None:
    """Raise CorpusError unless `file` has this version of the schema."""
    import pyarrow as pa
    import pyarrow.parquet as parquet

    require_pyarrow()
    try:
        metadata = parquet.read_metadata(file).metadata or {}
    except (pa.ArrowException, OSError, ValueError) as error:
        raise CorpusError(f"{file} is no Parquet file: {error}") from error
    version = metadata.get(VERSION_KEY)
    if version is None or not version.isdigit() or int(version) != VERSION:
        words = "no version" if version is None else f"version {version.decode(errors='replace')}"
        raise CorpusError(f"{file} has {words} of the corpus schema; this program reads version {VERSION}")


def read(files: Iterable[Path], columns: Iterable[str] = NAMES, op: str | None = None) -> pyarrow.Table:
    """The rows of some files, or those of one operator, as a pyarrow table.

    All text is dictionary-encoded, inside lists and maps too: a chunk holds each different value once. Raises
    CorpusError for a file that cannot be read to its end.
    """
    import pyarrow as pa
    import pyarrow.parquet as parquet

    wanted = list(columns)
    filters = None if op is None else [("op", "==", op)]
    tables: list[pyarrow.Table] = []
    for file in files:
        try:
            table = parquet.read_table(file, columns=wanted, filters=filters, read_dictionary=TEXT_PATHS)
            table.validate(full=True)  # a damaged page may hold indices that lead out of its dictionary, or no UTF-8
            tables.append(table)
        except (pa.ArrowException, OSError, ValueError) as error:
            raise CorpusError(f"{file} is damaged: {error}") from error
    return pa.concat_tables(tables)
