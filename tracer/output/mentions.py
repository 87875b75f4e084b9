"""What a program makes once, however often it mentions it: a variable if that is more than once.

What is mentioned once is written where it is mentioned, so that `return (a, b)` stays one line. How often that is shows
at the end only; until then such an object has a mark for its name, which no text of a program can hold.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from tracer.output.statements import Statement
from tracer.values.rebuilding import Fragment

_BEGIN, _END = "\x01", "\x02"  # not in the repr of any text
_MARK = re.compile(f"{_BEGIN}(\\w+) \\d+{_END}")


def mark(wish: str, number: int) -> Fragment:
    """The mark of the object `number`, whose variable would have a name like `wish`."""
    text = f"{_BEGIN}{wish} {number}{_END}"
    return Fragment(text, (text,))


def without_marks(statements: Sequence[Statement], fresh: Callable[[str], str]) -> list[Statement]:
    """Statements, in which each mark is assigned before it is read, with a name or an expression for each mark.

    `fresh(wish)` gives a name that nothing else has.
    """
    mentions = Counter(name for statement in statements for name in statement.reads)
    meanings: dict[str, Fragment] = {}
    settled: list[Statement] = []
    for statement in statements:
        assigned = next(filter(None, map(_MARK.fullmatch, statement.writes)), None)
        if assigned is None:
            settled.append(_with_meanings(statement, meanings))
        elif mentions[assigned[0]] > 1:
            name = fresh(assigned[1])
            meanings[assigned[0]] = Fragment(name, (name,))
            settled.append(replace(_with_meanings(statement, meanings), writes=(name,)))
        else:
            written = _with_meanings(statement, meanings)
            meanings[assigned[0]] = Fragment(written.text.removeprefix(f"{assigned[0]} = "), written.reads)
    return settled


def _with_meanings(statement: Statement, meanings: Mapping[str, Fragment]) -> Statement:
    """A statement with the meanings of the marks in it."""
    if _BEGIN not in statement.text:
        return statement

    def meaning(mark: str) -> Fragment:
        return meanings.get(mark) or Fragment(mark, (mark,))

    text = _MARK.sub(lambda match: meaning(match[0]).text, statement.text)
    reads = tuple(name for read in statement.reads for name in meaning(read).reads)
    return replace(statement, text=text, reads=reads)
