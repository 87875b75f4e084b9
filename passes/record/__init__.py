"""Recorded calls of tensor operators: who records them, how they are stored, what can be asked of them.

`with record("corpus"):` records, `Corpus("corpus")` reads. What a record holds is told in schema.py.
"""

from passes.record.corpus import Corpus
from passes.record.flags import flag
from passes.record.recorder import Recorder, record
from passes.record.schema import CorpusError

__all__ = ["Corpus", "CorpusError", "Recorder", "flag", "record"]
