"""Terms: the expressions that may answer a question, enumerated by type from small to large.

The enumeration is bottom-up: the values of a term come from those of its parts, so that none is computed twice. Of
terms with equal values on all rows only the first, which is the simplest, is kept. The types of primitives keep their
number small.
"""

from __future__ import annotations

import inspect
import itertools
import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Any, Final

from passes.infer.search.kinds import is_equation, is_key, kind_of
from passes.infer.search.sample import MISSING, CallSample, Term, computed
from passes.meta import TensorMeta
from passes.rules.generate import NO_VALUE
from passes.rules.language import PRIMITIVES, SUBTYPES, Primitive, written

PLAIN_NUMBERS: Final = frozenset(("Int", "Number", "Bool"))
PADDINGS: Final = ("valid", "same")  # words for the sizes of a padding
NUMBERS_OR_NONE: Final = frozenset(("Number", "Int", "Bool", "None"))
OPERANDS: Final = NUMBERS_OR_NONE | {"Tensor", "Tensors"}
CONSTANTS: Final[dict[str, tuple[tuple[Any, float], ...]]] = {
    "Int": ((0, 0.6), (1, 0.6), (-1, 0.6), (2, 0.9), (-2, 0.9), (-3, 1.1)),
    "Int?": ((None, 0.3), (0, 0.6), (1, 0.6), (-1, 0.6)),
    "Rank": ((1, 0.6), (2, 0.6), (3, 0.6)),
    "Bool": ((False, 0.2), (True, 0.3)),
    "Number": ((0, 0.5), (1, 0.6)),
    "Ints": (((), 1.0),),
    "IntOrInts": ((0, 0.5), (1, 0.5)),
}
MOST_ELEMENTS: Final = 3  # of a list: the first ones are terms
GIVEN: Final = frozenset(("Int", "Ints", "None"))  # kinds of sizes or dimensions: one, several or none
FACT_TYPES: Final = {"shape": "Ints", "stride": "Strides", "dtype": "Dtype", "storage_offset": "Offset"}
MOST_OPERANDS: Final = 5  # of which all subsets are tried; of more operands few
MOST_COMBINATIONS: Final = 6000  # of terms as the arguments of one primitive
MOST_REMEMBERED: Final = 1 << 18  # results of one primitive
MIN_PREFIX: Final = 3  # parameter names match on this many letters: `pad` is a padding
COUNTED_BY_TYPE: Final = ("Operand", "Number")  # types whose equal values may mean different things


Kinds = frozenset[str]


@dataclass(frozen=True, slots=True)
class Reading:
    """One way in which expressions may use a parameter: as a term of `type`, if `applies` to all that it was given.

    Where a value is not one that `accepts`, the term has none.
    """

    type: str
    applies: Callable[[Kinds, Sequence[Any]], bool]
    accepts: Callable[[Any], bool]
    cost: float = 1.0

    def of(self, name: str, values: Sequence[Any]) -> Term:
        """The parameter, read this way."""
        return Term(name, self.type, _kept(values, self.accepts), self.cost)


def _kept(values: Sequence[Any], accepts: Callable[[Any], bool]) -> list[Any]:
    return [value if accepts(value) else MISSING for value in values]


def _longest(lists: Sequence[Any]) -> int:
    return max((len(each) for each in lists if each is not MISSING), default=0)


def _kinds(*kinds: str) -> Callable[[Any], bool]:
    """Accepts the values of these kinds."""
    return lambda value: kind_of(value) in kinds


def _anything(value: Any) -> bool:
    return True


def _of_kind(kind: str, unless: str | None = None) -> Reading:
    """A parameter as what it is; not if it is given `unless` at other times, which then stands for both."""
    return Reading(kind, lambda kinds, values: kind in kinds and unless not in kinds, _kinds(kind))


# How expressions may use a parameter. Among terms of one type that have equal values on all rows the first stands, so
# that within a type the order of rows is an order of preference: a parameter as it is comes before the same
# parameter with None, or with numbers of another type, in the places where it has no value as it is.
READINGS: Final[tuple[Reading, ...]] = (
    _of_kind("Bool"),
    _of_kind("Dtype"),
    _of_kind("Format"),
    _of_kind("Int", unless="Bool"),
    _of_kind("Ints"),
    _of_kind("Number", unless="Int"),
    _of_kind("Tensor"),
    _of_kind("Tensors"),
    Reading(
        "IntOrInts",
        lambda kinds, values: bool(kinds & {"Int", "Ints"}),
        lambda value: kind_of(value) in ("Int", "Ints") or value in PADDINGS,
    ),
    Reading("Dims", lambda kinds, values: bool(kinds & {"Int", "Ints"}), _kinds("Int", "Ints", "None")),
    Reading("Given", lambda kinds, values: kinds <= GIVEN and bool(kinds - {"None"}), _anything),
    Reading("Tensor?", lambda kinds, values: kinds >= {"Tensor", "None"} and len(kinds) == 2, _anything),
    Reading("Equation", lambda kinds, values: any(map(is_equation, values)), lambda value: type(value) is str),
    Reading("Key", lambda kinds, values: any(map(is_key, values)), _anything),
    Reading("Number", lambda kinds, values: kinds >= {"Number", "Int"}, _kinds(*PLAIN_NUMBERS), 0.9),
    Reading("Int?", lambda kinds, values: "Int" in kinds, _kinds("Int", "None")),
    Reading("Format", lambda kinds, values: "Format" in kinds, _kinds("Format", "None")),
)
AS_OPERAND: Final = Reading(
    "Operand",
    lambda kinds, values: bool(kinds & {"Tensor", "Tensors"}) or ("Number" in kinds and kinds <= NUMBERS_OR_NONE),
    lambda value: value == () or kind_of(value) in OPERANDS,
)


class Terms:
    """The terms over one sample, by type; grown as they are asked for."""

    def __init__(self, sample: CallSample) -> None:
        self.sample = sample
        self.tried = 0  # terms compared with recorded answers: what a search costs, whatever the machine
        self._by_type: dict[str, list[Term]] = defaultdict(list)
        self._seen: dict[str, set[Any]] = defaultdict(set)
        self.operands: list[Term] = []
        for name, values in sample.columns():
            self._add_parameter(name, values)
        for tensor in list(self._by_type["Tensor"]):
            for fact, kind in FACT_TYPES.items():
                values = [getattr(value, fact) if isinstance(value, TensorMeta) else MISSING for value in tensor.values]
                self.add(Term(f"{tensor.text}.{fact}", kind, values, tensor.cost + 0.2))

    def _add_parameter(self, name: str, values: Sequence[Any]) -> None:
        kinds = frozenset(map(kind_of, values))
        for reading in READINGS:
            if reading.applies(kinds, values):
                self.add(reading.of(name, values))
        if kinds & {"Ints"} and kinds <= {"Ints", "None"}:
            lists = _kept(values, _kinds("Ints"))
            self._add_first_integers(name, lists)
            lengths = [each if each is MISSING else len(each) for each in lists]
            self.add(Term(f"rank({name})", "Rank", lengths, 0.9))  # how many dimensions sizes are given for
        if "Tensors" in kinds:
            self._add_elements(name, _kept(values, _kinds("Tensors")))
        if AS_OPERAND.applies(kinds, values):
            self.operands.append(AS_OPERAND.of(name, values))

    def _add_first_integers(self, name: str, lists: Sequence[Any]) -> None:
        """The first integers of a list of sizes or dimensions, each as a term."""
        for index in range(min(_longest(lists), MOST_ELEMENTS)):
            part = [each[index] if each is not MISSING and len(each) > index else MISSING for each in lists]
            if all(type(number) is int or number is MISSING for number in part):
                self.add(Term(f"{name}[{index}]", "Int", part, 1.6))

    def _add_elements(self, name: str, lists: Sequence[Any]) -> None:
        """Tensors of a list: the one with the number of the row's output if there is one, else the first ones."""
        if "i" in self.sample.extra:
            numbers = self.sample.extra["i"]
            self._element(f"{name}[i]", computed(lambda tensors, i: tensors[i], (lists, numbers), self.sample.size))
            return
        for index in range(min(_longest(lists), MOST_ELEMENTS)):
            part = computed(lambda tensors, index=index: tensors[index], (lists,), self.sample.size)
            self._element(f"{name}[{index}]", part, 2.0)

    def _element(self, text: str, values: Sequence[Any], cost: float = 1.2) -> None:
        tensors = [value if isinstance(value, TensorMeta) else MISSING for value in values]
        if any(value is not MISSING for value in tensors):
            self.add(Term(text, "Tensor", tensors, cost))
            if text.endswith("[i]"):
                self.operands.append(Term(text, "Operand", tensors, cost))

    def add(self, term: Term) -> bool:
        """Keep a term unless one of its type has the same values; true if it is kept."""
        if all(value is MISSING for value in term.values):
            return False
        key = tuple(value if value.__class__ is not list else tuple(value) for value in term.values)
        try:
            marked = (tuple(map(type, key)), key) if term.type in ("Int", "Dims", "IntOrInts", "Int?") else key
            if marked in self._seen[term.type]:
                return False
            self._seen[term.type].add(marked)
        except TypeError:
            pass
        self._by_type[term.type].append(term)
        return True

    def of(self, kind: str) -> list[Term]:
        """Terms that may stand where a primitive takes `kind`, constants among them."""
        if kind == "Operand":
            return self.operands
        terms = list(self._by_type[kind])
        terms += [term for name, kinds in SUBTYPES.items() if kind in kinds for term in self._by_type[name]]
        if kind == "Int?":
            terms += [term for term in self._by_type["Int"] if "[" in term.text]
        texts = {term.text for term in terms}
        for value, cost in CONSTANTS.get(kind, ()):
            text = written(value)
            if text not in texts:
                terms.append(Term(text, kind, [value] * self.sample.size, cost))
        if kind == "Dims":
            terms += [Term(text, kind, [value] * self.sample.size, 0.9) for text, value in _DIMS if text not in texts]
        return terms

    def called(self, kind: str, text: str) -> Term | None:
        """The term of a type with this text, or None."""
        return next((term for term in self.of(kind) if term.text == text), None)

    def applications(self, names: Iterable[str]) -> Iterator[Term]:
        """Every application of the primitives `names` to terms."""
        for name in names:
            yield from self.apply(PRIMITIVES[name])

    def apply(self, primitive: Primitive) -> Iterator[Term]:
        """Every application of a primitive to terms of the types it takes, within MOST_COMBINATIONS."""
        return self.apply_to(primitive)

    def apply_to(self, primitive: Primitive, *first: Term) -> Iterator[Term]:
        """Those applications of a primitive whose first arguments are given."""
        fixed = primitive.takes[:-1] if primitive.variadic else primitive.takes
        pools = [[each] for each in first] + [self.of(kind) for kind in fixed[len(first) :]]
        tails = list(self.tails(primitive.takes[-1][1:])) if primitive.variadic else [()]
        if math.prod(map(len, pools)) * len(tails) > MOST_COMBINATIONS:
            pools = [_called(name, pool) for name, pool in zip(_names(primitive), pools, strict=False)]
        if math.prod(map(len, pools)) * len(tails) > MOST_COMBINATIONS:
            pools = [sorted(pool, key=lambda term: term.cost)[: _bound(len(pools))] for pool in pools]
        for head in itertools.product(*pools):
            if _repeats(head):
                continue
            for tail in tails:
                parts = (*head, *tail)
                if parts and all(_is_constant(part) for part in parts):
                    continue
                yield self.application(primitive, parts)

    def application(self, primitive: Primitive, parts: Sequence[Term]) -> Term:
        """The term of a primitive applied to these terms; its values are computed when they are read."""
        values = LazyValues(_remembering(primitive), [part.values for part in parts], self.sample.size)
        text = f"{primitive.name}({', '.join(part.text for part in parts)})"
        return Term(text, primitive.gives, values, 1.0 + sum(part.cost for part in parts))

    def tails(self, kind: str) -> Iterator[tuple[Term, ...]]:
        """All operands, then the subsets of few of them, large ones first."""
        pool = self.of(kind)
        if not pool:
            return
        yield tuple(pool)
        if len(pool) <= MOST_OPERANDS:
            for count in range(len(pool) - 1, 0, -1):
                yield from itertools.combinations(pool, count)
        else:
            for count in (1, 2, 3):
                yield from (tuple(pool[:count]),) if count == 3 else itertools.combinations(pool, count)


@cache
def _remembering(primitive: Primitive) -> Callable[..., Any]:
    """The primitive's function with a memo; MISSING where it has no value.

    Nine of ten applications in a study are to arguments of an earlier round or of another term. There is no memo where
    1 and 1.0 mean different things, as they are equal keys.
    """
    memo: dict[tuple[Any, ...], Any] = {}

    def computed(*values: Any) -> Any:
        try:
            return primitive.function(*values)
        except NO_VALUE:
            return MISSING

    def remembered(*values: Any) -> Any:
        try:
            return memo[values]
        except KeyError:
            if len(memo) >= MOST_REMEMBERED:
                memo.clear()
            result = memo[values] = computed(*values)
            return result

    return computed if any(kind.removeprefix("*") in COUNTED_BY_TYPE for kind in primitive.takes) else remembered


class LazyValues(Sequence[Any]):
    """The values of an application, each computed when it is first read."""

    __slots__ = ("_columns", "_function", "_memo", "_size")

    def __init__(self, function: Callable[..., Any], columns: list[Sequence[Any]], size: int) -> None:
        self._function, self._columns, self._size = function, columns, size
        self._memo: dict[int, Any] = {}

    def __len__(self) -> int:
        return self._size

    def __getitem__(self, index: Any) -> Any:
        try:
            return self._memo[index]
        except KeyError:
            value = self._memo[index] = self._computed(index)
            return value

    def _computed(self, index: int) -> Any:
        if index >= self._size:
            raise IndexError(index)
        values: list[Any] = []
        for column in self._columns:
            value = column[index]
            if value is MISSING:
                return MISSING
            values.append(value)
        return self._function(*values)

    def __iter__(self) -> Iterator[Any]:
        return (self[index] for index in range(self._size))


_DIMS: Final = (("0", 0), ("1", 1), ("(-1,)", (-1,)), ("(-2, -1)", (-2, -1)), ("(0, 1)", (0, 1)), ("()", ()))


def _names(primitive: Primitive) -> list[str]:
    return list(inspect.signature(primitive.function).parameters)


def _called(name: str, pool: list[Term]) -> list[Term]:
    """The terms whose name is a prefix of the parameter's, or the other way round; all terms if there are none."""
    return [term for term in pool if _begins_like(term.text.split(".")[0], name)] or pool


def _begins_like(text: str, name: str) -> bool:
    return text.startswith(name) or (len(text) >= MIN_PREFIX and name.startswith(text))


def _bound(pools: int) -> int:
    """How many terms of each pool keep the combinations within bounds."""
    return max(3, int(MOST_COMBINATIONS ** (1 / pools)))


def _is_constant(term: Term) -> bool:
    return _names_nothing(term.text)


@lru_cache(maxsize=1 << 14)
def _names_nothing(text: str) -> bool:
    return not any(map(str.isalpha, text.replace("None", "").replace("True", "").replace("False", "")))


def _repeats(parts: Sequence[Term]) -> bool:
    """Whether an argument that is not a tensor is used twice, which yields nothing new."""
    texts = [part.text for part in parts if part.type not in ("Tensor", "Strided") and not _is_constant(part)]
    return len(texts) != len(set(texts))
