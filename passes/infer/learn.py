"""Learning: from the recorded calls of one operator to its rules.

One rule for each list of parameters that the operator was seen with. Every question about the result is
decided by itself; what no cases explain stays unknown. Knows nothing of trials, files or other operators.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, replace
from typing import Any, Final

import torch

from passes.infer import hypotheses
from passes.infer.decide import Candidate, decide
from passes.infer.guards import Guard, guards_of
from passes.infer.sample import MISSING, Sample, Term, bits
from passes.infer.terms import Terms, kind_of
from passes.meta import CPU, DTYPE_NAMES, TensorMeta
from passes.outcome import DictArg, ListArg, New, Same, SliceArg, leaves
from passes.record.calls import Call, Failure
from passes.record.values import NumberOf, Opaque
from passes.rules.language import PRIMITIVES
from passes.rules.primitives import layouts, questions
from passes.rules.rule import UNKNOWN, Case, Cases, Domain, Output, Provenance, Rule, always, identifier

FEWEST: Final = 3  # calls below which nothing is claimed
MOST_ROWS: Final = 400  # that are fitted; the others are compared with the rule afterwards
MOST_RIVALS: Final = 5  # answers to one question that explain all rows, beside the chosen one
MOST_VIEWS: Final = 24  # that have the shape of an output, and may tell its strides
MOST_LISTED: Final = 64  # tensors of a list that are looked at
Structure = Any


@dataclass(frozen=True, slots=True)
class Observation:
    """A call as learning sees it: values of its parameters, the tensors in and out, and the result's form."""

    call: Call
    form: str
    outputs: tuple[Any, ...]  # New, Same or a constant, by place in the result


@dataclass(frozen=True, slots=True)
class Learned:
    """A rule, and others that explain the same calls: trials should be such that they disagree."""

    rule: Rule
    rivals: tuple[Rule, ...]


def learn(op: str, level: str, calls: Sequence[Call], must: Sequence[Call] = ()) -> list[Learned]:
    """The rules that explain `calls`, one for each list of parameters.

    Of many calls a part is fitted that has one of each kind; those in `must` are in it.
    """
    needed = {id(call) for call in must}
    groups: dict[tuple[str, ...], list[Call]] = defaultdict(list)
    for call in calls:
        if is_plain(call):
            groups[tuple(call.arguments)].append(call)
    return [
        found
        for parameters, own in sorted(groups.items(), key=lambda item: (-len(item[1]), item[0]))
        if (found := _learned(op, level, parameters, own, needed)) is not None
    ]


def is_plain(call: Call) -> bool:
    """Whether all tensors are strided ones on the CPU without flags, as the language knows them."""
    metas = [leaf for leaf in leaves(tuple(call.arguments.values())) if isinstance(leaf, TensorMeta)]
    if not isinstance(call.outcome, Failure):
        metas += [leaf.meta for leaf in call.outcome.tensors if isinstance(leaf, New)]
        metas += call.outcome.mutated.values()
    return all(map(is_plain_meta, metas))


def is_plain_meta(meta: TensorMeta) -> bool:
    return meta.stride is not None and meta.device == CPU and not meta.is_inference


def _learned(
    op: str, level: str, parameters: tuple[str, ...], calls: Sequence[Call], needed: Set[int]
) -> Learned | None:
    good = [each for call in calls if (each := _observed(call)) is not None]
    if len(good) < FEWEST:
        return None
    first = [each for each in good if id(each.call) in needed][:MOST_ROWS]
    rest = [each for each in good if id(each.call) not in needed]
    fitted = first + _spread(rest, MOST_ROWS - len(first))
    learner = Learner(parameters, fitted, level)
    form, many = learner.form()
    outputs = learner.many_outputs() if many else learner.outputs()
    rule = Rule(
        op=op,
        level=level,
        parameters=parameters,
        form=form,
        outputs=tuple(outputs),
        writes=learner.writes(),
        raises=(),
        domain=domain_of(parameters, [each.call for each in good]),
        provenance=Provenance(
            corpus=hash_of(calls), calls=len(calls), torch=torch.__version__, layouts=tuple(sorted(layouts_of(good)))
        ),
    )
    return Learned(rule, tuple(_rivals(rule)))


def _rivals(rule: Rule) -> Iterator[Rule]:
    """The rule with another answer to one question."""
    for place, output in enumerate(rule.outputs):
        for question, texts in output.rivals.items():
            for text in texts:
                other = replace(output, **{question: always(text)})
                yield replace(rule, outputs=(*rule.outputs[:place], other, *rule.outputs[place + 1 :]))
    for name, output in rule.writes.items():
        for question, texts in output.rivals.items():
            for text in texts:
                yield replace(rule, writes={**rule.writes, name: replace(output, **{question: always(text)})})


def _spread(found: Sequence[Observation], most: int) -> list[Observation]:
    """At most so many, the rarest kinds of calls first so that none is lost."""
    if len(found) <= most:
        return list(found)
    kinds: dict[Any, list[Observation]] = defaultdict(list)
    for each in found:
        kinds[_kind(each)].append(each)
    queues = sorted(kinds.values(), key=len)
    kept: list[Observation] = []
    while len(kept) < most:
        for queue in queues:
            if queue and len(kept) < most:
                kept.append(queue.pop(len(queue) // 2))
        queues = [queue for queue in queues if queue]
    return kept


def _kind(each: Observation) -> Any:
    return each.form, tuple(
        (kind_of(value), len(value.shape), value.dtype, is_row_major(value)) if isinstance(value, TensorMeta) else kind_of(value)
        for value in each.call.arguments.values()
    )


def is_row_major(meta: TensorMeta) -> bool:
    return meta.stride == layouts.contiguous(meta.shape)


def hash_of(calls: Sequence[Call]) -> str:
    """A hash of calls, whatever order they are in."""
    lines = sorted(f"{call.arguments!r}{call.outcome!r}" for call in calls)
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16]


def layouts_of(found: Sequence[Observation]) -> set[str]:
    """Which layouts the tensors had."""
    said: set[str] = set()
    tests = (
        ("contiguous", layouts.is_contiguous),
        ("channels-last", layouts.like_channels_last),
        ("expanded", questions.repeats),
        ("dense", layouts.is_dense),
    )
    for each in found:
        for meta in leaves(tuple(each.call.arguments.values())):
            if isinstance(meta, TensorMeta):
                said.add(next((word for word, test in tests if test(meta)), "strided"))
                if meta.storage_offset:
                    said.add("offset")
    return said


def _observed(call: Call) -> Observation | None:
    if isinstance(call.outcome, Failure):
        return None
    outputs: list[Any] = []
    return Observation(call, _form(call.outcome.result, outputs), tuple(outputs))


def _form(result: Structure, outputs: list[Any]) -> str:
    """The structure of a result, with its tensors numbered by their place in it."""
    if isinstance(result, New | Same):
        outputs.append(result)
        return f"tensor_{len(outputs) - 1}"
    if isinstance(result, tuple | list) and not isinstance(result, Opaque | NumberOf | SliceArg | DictArg | torch.Size):
        inner = ", ".join(_form(part, outputs) for part in result)
        if isinstance(result, ListArg | list):
            return f"[{inner}]"
        return f"({inner}{',' if len(result) == 1 else ''})"
    outputs.append(None)
    return "None" if result is None else UNKNOWN


def domain_of(parameters: Sequence[str], calls: Sequence[Call]) -> Domain:
    """What was seen of each parameter."""
    ranks: dict[str, set[int]] = defaultdict(set)
    dtypes: dict[str, set[str]] = defaultdict(set)
    kinds: dict[str, set[str]] = defaultdict(set)
    choices: dict[str, set[Any]] = defaultdict(set)
    for call in calls:
        for name, value in call.arguments.items():
            kinds[name].add(sort_of(value))
            for meta in leaves((value,)):
                if isinstance(meta, TensorMeta):
                    kinds[name] |= {flag for flag in ("conj", "neg") if getattr(meta, f"is_{flag}")}
                    ranks[name].add(len(meta.shape))
                    dtypes[name].add(DTYPE_NAMES.get(meta.dtype) or str(meta.dtype))
            if isinstance(value, str):
                choices[name].add(value)
            elif isinstance(value, torch.dtype | torch.memory_format | torch.layout):
                choices[name].add(str(value))
    return Domain(
        *(
            {name: tuple(sorted(table[name])) for name in parameters if table[name]}
            for table in (ranks, dtypes, kinds, choices)
        )
    )


def sort_of(value: Any) -> str:
    """The kind of an argument as a domain names it."""
    kind = kind_of(value)
    if kind == "Tensors":
        return "list"
    if kind == "Number":
        number = getattr(value, "number", value)
        return type(number).__name__
    return {"Tensor": "tensor", "Bool": "bool", "Int": "int", "Ints": "ints", "None": "none", "Dtype": "dtype"}.get(
        kind, type(value).__name__
    )


class Learner:
    """The questions about one operator's calls, and what answers them."""

    def __init__(self, parameters: Sequence[str], found: Sequence[Observation], level: str) -> None:
        self.found = found
        self.parameters = parameters
        self.level = level
        self.sample = sample_of(parameters, [each.call for each in found])
        self.terms = Terms(self.sample)
        self.found_before: dict[tuple[Any, ...], list[Candidate]] = {}
        self._guards: list[Guard] | None = None
        self._views: list[Term] | None = None

    @property
    def guards(self) -> list[Guard]:
        if self._guards is None:
            self._guards = guards_of(self.sample)
        return self._guards

    def form(self) -> tuple[Cases, bool]:
        """Cases for what is returned, and whether it is many outputs of one kind."""
        forms = [each.form for each in self.found]
        lists = [form for form in forms if form.startswith(("[tensor", "(tensor", "[]", "()"))]
        lengths = {form.count("tensor") for form in forms}
        uniform = len(lists) == len(forms) and all("None" not in form and "((" not in form for form in forms)
        if uniform and (len(lengths) > 1 or forms[0].startswith("[")) and UNKNOWN not in "".join(forms):
            return self._many(forms), True
        known = [form if UNKNOWN not in form else UNKNOWN for form in forms]
        everything = self.sample.everything
        choices = sorted(set(known) - {UNKNOWN})
        candidates = [
            Candidate(form, bits(each == form for each in known), 1.0 + len(form) / 50) for form in choices[:12]
        ]
        if UNKNOWN in known:
            candidates.append(Candidate(UNKNOWN, bits(each == UNKNOWN for each in known), 2.0))
        if all(form == UNKNOWN for form in known):
            return always(UNKNOWN), False
        if len(candidates) == 1 and candidates[0].explains == everything:
            return always(candidates[0].text), False
        return decide(candidates, self.guards, everything), False

    def _many(self, forms: Sequence[str]) -> Cases:
        lengths = [form.count("tensor") for form in forms]
        test = hypotheses.Test(lengths, self.sample.everything)
        cases = decide(hypotheses.count_candidates(self.terms, test), self.guards, self.sample.everything)
        opening = "[each]" if forms[0].startswith("[") else "(each)"
        return tuple(
            Case(case.guard, case.answer if case.answer == UNKNOWN else f"{opening} * {_bracketed(case.answer)}")
            for case in cases
        )

    def outputs(self) -> list[Output]:
        """One for each place of the result; a place without tensors has no cases."""
        places = max((len(each.outputs) for each in self.found), default=0)
        return [self._output(place) for place in range(places)]

    def _output(self, place: int) -> Output:
        rows = [
            number
            for number, each in enumerate(self.found)
            if len(each.outputs) > place and isinstance(each.outputs[place], New | Same)
        ]
        if not rows:
            return Output(())
        asked = self._part(rows)
        return asked.answer([self.found[row].outputs[place] for row in rows], [self.found[row].call for row in rows])

    def many_outputs(self) -> list[Output]:
        """The output that all elements of the result are like."""
        pairs = [
            (each.call, number, output)
            for each in self.found
            for number, output in _sampled(each.outputs)
            if isinstance(output, New | Same)
        ]
        if not pairs:
            return [Output(())]
        sample = sample_of(self.parameters, [call for call, _, _ in pairs], [number for _, number, _ in pairs])
        return [Questions(sample, Terms(sample), None, self.level).answer([o for *_, o in pairs], [c for c, *_ in pairs])]

    def _part(self, rows: Sequence[int]) -> Questions:
        if len(rows) == len(self.found):
            return Questions(self.sample, self.terms, self, self.level)
        sample = sample_of(self.parameters, [self.found[row].call for row in rows])
        return Questions(sample, Terms(sample), None, self.level)

    def views(self) -> list[Term]:
        if self._views is None:
            self._views = views_of(self.terms)
        return self._views

    def writes(self) -> Mapping[str, Output]:
        """The parameters that were written to, as they are afterwards."""
        found: dict[str, Output] = {}
        for name in self.parameters:
            rows, numbers, afters = self._written(name)
            if any(after is not None for after in afters):
                calls = [self.found[row].call for row in rows]
                many = any(number is not None for number in numbers)
                sample = sample_of(self.parameters, calls, [number or 0 for number in numbers] if many else None)
                questions = Questions(sample, Terms(sample), None, self.level)
                found[name] = questions.after(afters, f"{identifier(name)}[i]" if many else identifier(name))
        return found

    def _written(self, name: str) -> tuple[list[int], list[int | None], list[TensorMeta | None]]:
        """Rows where the parameter holds tensors, their number in a list, and the metas afterwards (None: not written)."""
        rows: list[int] = []
        numbers: list[int | None] = []
        afters: list[TensorMeta | None] = []
        for row, each in enumerate(self.found):
            value = each.call.arguments[name]
            start = places_of(each.call.arguments)[name]
            mutated = each.call.outcome.mutated  # type: ignore[union-attr]
            if isinstance(value, TensorMeta):
                rows.append(row)
                numbers.append(None)
                afters.append(mutated.get(start))
            elif kind_of(value) == "Tensors" and value and all(isinstance(part, TensorMeta) for part in value):
                for number, _ in _sampled(value):
                    rows.append(row)
                    numbers.append(number)
                    afters.append(mutated.get(start + number))
        return rows, numbers, afters


def _bracketed(text: str) -> str:
    return f"({text})" if " " in text else text


def _sampled(parts: Sequence[Any]) -> list[tuple[int, Any]]:
    pairs = list(enumerate(parts))
    return pairs if len(pairs) <= 6 else [*pairs[:3], *pairs[-3:]]


def sample_of(parameters: Sequence[str], calls: Sequence[Call], numbers: Sequence[int] | None = None) -> Sample:
    columns = {name: [call.arguments[name] for call in calls] for name in parameters}
    return Sample(columns, len(calls), {} if numbers is None else {"i": list(numbers)})


def places_of(arguments: Mapping[str, Any]) -> dict[str, int]:
    """For each parameter the number of its first tensor among all tensors given."""
    found: dict[str, int] = {}
    count = 0
    for name, value in arguments.items():
        found[name] = count
        count += sum(isinstance(leaf, TensorMeta) for leaf in leaves((value,)))
    return found


def views_of(terms: Terms) -> list[Term]:
    """What every view primitive makes of the tensors."""
    return list(_views(terms))


def _views(terms: Terms) -> Iterator[Term]:
    yield from terms.applications(hypotheses.VIEWS)
    if terms.sample.extra:
        chunks = list(terms.applications(("chunk_size",)))
        number = next(term for term in terms.of("Int") if term.text == "i")
        for size in chunks:
            tensor, _, dim = size.text[len("chunk_size(") : -1].split(", ")
            parts = [next((t for t in terms.of(kind) if t.text == text), None) for kind, text in (("Strided", tensor), ("Int", dim))]
            if None not in parts:
                yield terms.application(PRIMITIVES["piece"], (parts[0], size, parts[1], number))  # type: ignore[arg-type]


class Questions:
    """The questions about one output on the rows of a sample."""

    def __init__(self, sample: Sample, terms: Terms, shared: Learner | None, level: str) -> None:
        self.sample, self.terms, self._shared, self._level = sample, terms, shared, level
        self._own_guards: list[Guard] | None = None
        self._found = shared.found_before if shared is not None else {}

    @property
    def guards(self) -> list[Guard]:
        if self._shared is not None:
            return self._shared.guards
        if self._own_guards is None:
            self._own_guards = guards_of(self.sample)
        return self._own_guards

    def views(self) -> list[Term]:
        return self._shared.views() if self._shared is not None else views_of(self.terms)

    def answer(self, outputs: Sequence[New | Same], calls: Sequence[Call]) -> Output:
        """The cases of a returned tensor."""
        numbers = self.sample.extra.get("i", [None] * len(calls))
        aliases = [aliases_of(*each) for each in zip(outputs, calls, numbers, strict=True)]
        choices = sorted({word for words in aliases for word in words})
        candidates = [
            Candidate(word, bits(word in words for words in aliases), 1.0 + ("[" in word) * 0.1) for word in choices
        ]
        alias = decide(candidates, self.guards, self.sample.everything)
        rows = bits(isinstance(output, New) for output in outputs)
        if not rows:
            return Output(alias)
        metas = [output.meta if isinstance(output, New) else None for output in outputs]
        shared = any(isinstance(output, New) and output.alias_of is not None for output in outputs)
        return self._facts(alias, metas, rows, shared, False)

    def after(self, metas: Sequence[TensorMeta | None], name: str) -> Output:
        """The cases of a tensor that may have been written to, `name`; most keep all but their values."""
        words = ["kept" if meta is None else "new" for meta in metas]
        candidates = [Candidate(word, bits(each == word for each in words), 1.0) for word in sorted(set(words))]
        alias = decide(candidates, self.guards, self.sample.everything)
        rows = bits(meta is not None for meta in metas)
        before = self._parameter(name)
        if all(meta is None or _is_kept(meta, old) for meta, old in zip(metas, before, strict=True)):
            facts = {fact: always(f"{name}.{fact}") for fact in ("shape", "stride", "storage_offset", "dtype")}
            return Output(alias, **facts, requires_grad=self._grad(metas, rows))
        return self._facts(alias, metas, rows, True, True)

    def _parameter(self, name: str) -> Sequence[Any]:
        """The values of a parameter, or of the elements of a list `name[i]`."""
        values = dict(self.sample.columns())[name.removesuffix("[i]")]
        if not name.endswith("[i]"):
            return values
        return [value[number] for value, number in zip(values, self.sample.extra["i"], strict=True)]

    def _facts(self, alias: Cases, metas: Sequence[TensorMeta | None], rows: int, shared: bool, written: bool) -> Output:
        shapes = [MISSING if meta is None else meta.shape for meta in metas]
        shape_test = hypotheses.Test(shapes, rows)
        views = self.views() if shared else []
        guards = self.guards
        shape_found = self._remembered(
            ("shape", *shapes), lambda: hypotheses.shape_candidates(self.terms, shape_test, views or _Later(self.views))
        )
        rivals: dict[str, tuple[str, ...]] = {"shape": _others(shape_found, rows)}
        shape = decide(shape_found, guards, rows)
        strides = [MISSING if meta is None else meta.stride for meta in metas]
        more = _More(lambda: guards_of(self.sample, shapes))
        stride_found = self._remembered(
            ("stride", shared, *shapes, *strides),
            lambda: hypotheses.stride_candidates(
                self.terms,
                hypotheses.Test(strides, rows),
                shapes,
                views,
                lambda: _explaining(self.views(), shape_test),
            ),
        )
        rivals["stride"] = _others(stride_found, rows)
        stride = self._decided(stride_found, more, rows)
        dtypes = [MISSING if meta is None else meta.dtype for meta in metas]
        dtype_found = hypotheses.dtype_candidates(self.terms, hypotheses.Test(dtypes, rows))
        rivals["dtype"] = _others(dtype_found, rows)
        dtype = self._decided(dtype_found, more, rows)
        offsets = [MISSING if meta is None else meta.storage_offset for meta in metas]
        offset = self._decided(
            hypotheses.offset_candidates(self.terms, hypotheses.Test(offsets, rows), views), more, rows
        )
        flags = {} if written else {flag: self._flag(flag, metas, rows) for flag in ("is_conj", "is_neg")}
        return Output(alias, shape, stride, offset, dtype, self._grad(metas, rows), **flags, rivals=rivals)

    def _flag(self, flag: str, metas: Sequence[TensorMeta | None], rows: int) -> Cases:
        """Whether a lazy bit of the output is set: never (no cases), or as it is on an argument, or the contrary."""
        answers = [MISSING if meta is None else getattr(meta, flag) for meta in metas]
        if not any(answer is True for answer in answers):
            return ()
        search = hypotheses.Search(hypotheses.Test(answers, rows))
        search.offer(hypotheses.flag_terms(self.terms, flag))
        return decide(search.candidates, self.guards, rows)

    def _remembered(self, key: tuple[Any, ...], search: Callable[[], list[Candidate]]) -> list[Candidate]:
        """What was found for an output with the same answers on the same rows, or what is found now."""
        if key not in self._found:
            self._found[key] = search()
        return self._found[key]

    def _decided(self, candidates: Sequence[Candidate], guards: _More, rows: int) -> Cases:
        total = [each for each in candidates if not rows & ~each.explains]
        if total:
            return always(min(total, key=lambda each: (each.cost, each.text)).text)
        return decide(candidates, guards.value, rows)

    def _grad(self, metas: Sequence[TensorMeta | None], rows: int) -> Cases:
        if self._level == "aten":
            return always("False")
        needs = [MISSING if meta is None else meta.requires_grad for meta in metas]
        operands = [*self.terms.of("Tensor"), *self.terms.of("Tensors")]
        operands = [term for term in operands if "[" not in term.text or "[i]" in term.text]
        whole = [Term(term.text, "Operand", [None if v is MISSING else v for v in term.values], term.cost) for term in operands]
        test = hypotheses.Test(needs, rows)
        return decide(hypotheses.grad_candidates(self.terms, test, whole), self.guards, rows)


def _others(candidates: Sequence[Candidate], rows: int) -> tuple[str, ...]:
    """The next simplest candidates that explain all rows."""
    total = sorted((each for each in candidates if not rows & ~each.explains), key=lambda each: (each.cost, each.text))
    return tuple(each.text for each in total[1 : 1 + MOST_RIVALS])


def _explaining(views: Sequence[Term], test: hypotheses.Test) -> list[Term]:
    """The simplest views that have the shape of the output wherever it was looked at."""
    shapes = ((view, hypotheses.fact(view, "shape", "Ints")) for view in views)
    found = [view for view, shape in shapes if test.hits(shape) > len(test.probes) / 2]
    return sorted(found, key=lambda view: view.cost)[:MOST_VIEWS]


def _is_kept(meta: TensorMeta, old: TensorMeta) -> bool:
    return (meta.shape, meta.stride, meta.storage_offset, meta.dtype) == (
        old.shape,
        old.stride,
        old.storage_offset,
        old.dtype,
    )


class _More:
    """Guards computed once somebody asks."""

    def __init__(self, make: Callable[[], list[Guard]]) -> None:
        self._make = make
        self._value: list[Guard] | None = None

    @property
    def value(self) -> list[Guard]:
        if self._value is None:
            self._value = self._make()
        return self._value


class _Later(Sequence[Term]):
    """Terms computed once somebody looks."""

    def __init__(self, make: Callable[[], list[Term]]) -> None:
        self._make = make

    def __len__(self) -> int:
        return len(self._make())

    def __getitem__(self, index: Any) -> Any:
        return self._make()[index]

    def __iter__(self) -> Iterator[Term]:
        return iter(self._make())


def aliases_of(output: New | Same, call: Call, number: int | None = None) -> set[str]:
    """The words that tell what an output shares memory with; several where arguments share memory.

    `number` is that of the output among many alike.
    """
    if isinstance(output, New) and output.alias_of is None:
        return {"new"}
    index = output.index if isinstance(output, Same) else output.alias_of
    verb = "same" if isinstance(output, Same) else "view"
    words: set[str] = set()
    metas = [leaf for leaf in leaves(tuple(call.arguments.values())) if isinstance(leaf, TensorMeta)]
    for name, value in call.arguments.items():
        start = places_of(call.arguments)[name]
        if isinstance(value, TensorMeta) and call.shares[start] == call.shares[index]:  # type: ignore[index]
            if verb == "view" or start == index or value is metas[index]:  # type: ignore[index]
                words.add(f"{verb} {name}")
        elif kind_of(value) == "Tensors":
            if number is not None and start + number == index:
                words.add(f"{verb} {name}[i]")
            words |= {f"{verb} {name}[{place}]" for place in range(len(value)) if start + place == index}
    return words
