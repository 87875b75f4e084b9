"""Splits of a corpus: calls that rules are learned from, and calls held out to see how rules predict new ones.

Equal corpora are split alike on any machine: a digest of the call or of a name decides, never a random number or the
order of rows. Equal calls are counted together first, so that each is on one side only. All of it is SQL.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Final

from passes.record.corpus import MERGED, Corpus, require_no_corpus, write_query
from passes.record.schema import FILE_PREFIX, INPUT_NAMES, MODELS_IN_SQL, CorpusError
from passes.record.storage import make_folder

if TYPE_CHECKING:
    import pyarrow

DEFAULT_SHARE: Final = 0.2
LARGEST_SIZE: Final = (
    "coalesce(list_max(flatten(list_transform(list_concat(given, returned), lambda text: tensor(text).size))), 0)"
)


def split(corpus: Corpus, by: str = "signature", share: float = DEFAULT_SHARE) -> tuple[pyarrow.Table, pyarrow.Table]:
    """The rows of a corpus to learn from, and those held out: about `share` of the signatures, sizes or models.

    `signature`: by a digest of operator and arguments. `size`: of each operator the calls whose largest size of a
    tensor is above the quantile that leaves `share`, so that rules must reach beyond what they were fitted to.
    `model`: whole models, by a digest of their names; a call that a model for fitting makes too, or that was
    made elsewhere, is not held out. Raises CorpusError for any other `by`, a share that is not between 0 and
    1, or a corpus without models.
    """
    fit, held = (corpus.connection.sql(query).to_arrow_table() for query in _queries(corpus, by, share))
    return fit, held


def write_split(
    corpus: Corpus, by: str, share: float, fit: str | os.PathLike[str], held: str | os.PathLike[str]
) -> tuple[int, int]:
    """Write both sides of a split, see `split`, as corpora into new folders. Returns the rows of each."""
    folders = Path(fit), Path(held)
    if folders[0].resolve() == folders[1].resolve():
        raise CorpusError(f"{fit} cannot be the folder of both sides")
    for folder in folders:
        require_no_corpus(folder)
    queries = _queries(corpus, by, share)
    rows = []
    for folder, query in zip(folders, queries, strict=True):
        make_folder(folder)
        rows.append(write_query(corpus.connection, query, folder / f"{FILE_PREFIX}{by}-{share:g}.parquet"))
    return rows[0], rows[1]


def _queries(corpus: Corpus, by: str, share: float) -> tuple[str, str]:
    """The rows of both sides in SQL."""
    if by not in SPLITS:
        raise CorpusError(f"no split by {by!r}; there are {', '.join(SPLITS)}")
    if not 0 < share < 1:
        raise CorpusError(f"the share held out must be between 0 and 1, not {share:g}")
    corpus.connection.execute(f"create or replace temp table merged as {MERGED}")
    is_held = SPLITS[by](corpus, share)
    return f"select * from merged where not ({is_held})", f"select * from merged where {is_held}"


def _by_signature(_: Corpus, share: float) -> str:
    return f"{_fraction(f'to_json([{_texts(INPUT_NAMES)}])')} < {share}"


def _by_size(corpus: Corpus, share: float) -> str:
    """Adds the table of each operator's quantile to the connection."""
    corpus.connection.execute(
        f"create or replace temp table largest_fitted as select op, level, "
        f"quantile_disc({LARGEST_SIZE}, {1 - share}) as size from merged group by op, level"
    )
    return (
        f"{LARGEST_SIZE} > (select size from largest_fitted where largest_fitted.op = merged.op "
        f"and largest_fitted.level = merged.level)"
    )


def _by_model(corpus: Corpus, share: float) -> str:
    """Adds the table of the models held out to the connection."""
    corpus.connection.execute(
        f"create or replace temp table models_held as with models as "
        f"(select distinct unnest({MODELS_IN_SQL}) as name from merged) select name from models "
        f"order by {_fraction('name')}, name limit (select greatest(1, round(count(*) * {share}))::bigint from models)"
    )
    if corpus.sql("select count(*) from models_held")[1] == [(0,)]:
        raise CorpusError(f"{corpus.folder} does not say which models made its calls: record it by `record models`")
    return f"len({MODELS_IN_SQL}) > 0 and list_has_all((select list(name) from models_held), {MODELS_IN_SQL})"


def _texts(names: tuple[str, ...]) -> str:
    return ", ".join(f"to_json({name})::varchar" for name in names)


def _fraction(text: str) -> str:
    """A number from 0 to 1 that depends on the text alone."""
    return f"('0x' || md5({text})[:8])::bigint / {1 << 32}"


SPLITS: Final[dict[str, Callable[[Corpus, float], str]]] = {
    "signature": _by_signature,
    "size": _by_size,
    "model": _by_model,
}
