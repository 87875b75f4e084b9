"""Recording: calls of tensor operators, as they happen in a program, kept in corpora on disk.

`with record("corpus"):` records, `Corpus("corpus")` reads. Never recorded are the elements of tensors, except of small
integer tensors on request.

    recorder.py   the recorder: what happens to a call while it records
    modes.py      the two levels at which calls are seen: ATen overloads, and functions at the C boundary
    table.py      different calls with their counts, in memory
    values.py     arguments, results and metas as JSON
    flags.py      tensors whose elements a user wants recorded
    location.py   the user's line that made a call
    schema.py     the columns of a corpus
    storage.py    Parquet files that appear whole or not at all
    corpus.py     what can be asked of a corpus; merging and comparing corpora
    split.py      calls to learn from, and calls held out
    calls.py      a row of a corpus as an object, and in words
    program.py    a program run under a recorder
    children.py   Python processes that such a program starts
    workers.py    worker processes that record many tasks
    sources/      where calls come from: torch's operator database, everyday code, models
    native/       the C++ function that tells equal calls apart from different ones
"""

from passes.record.corpus import Corpus
from passes.record.flags import flag
from passes.record.recorder import Recorder, record
from passes.record.schema import CorpusError

__all__ = ["Corpus", "CorpusError", "Recorder", "flag", "record"]
