"""What an operator that others registered declares, beside what it does: which arguments it writes to, what of its
results shares memory, and by its fake kernel, of which shapes, dtypes and strides they are. Compilers believe it, and
that its backward writes to nothing that it is given and gives the same each time.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import torch
from torch import Tensor
from torch.utils._pytree import tree_leaves

from backends.crosscheck import compare
from backends.crosscheck.calls import REFUSALS, ConcreteCall, ConcreteOutcome, attempt, is_plain, span
from backends.crosscheck.compare import CrosscheckDifference
from backends.crosscheck.gradients import cotangent
from backends.crosscheck.operators import Declaration, declaration_of
from backends.crosscheck.reference import distance
from passes.meta import meta_of
from passes.operators.difference import tensor_difference
from passes.operators.stand_ins import FakeStandIns
from passes.operators.trial import DATA_DEPENDENT_ERRORS, NO_FAKE_KERNEL, UNSUPPORTED_ERRORS, is_about_data

PREDICTED: Final = ("shape", "dtype", "device", "strides")


def undeclared(call: ConcreteCall, seed: Tensor) -> CrosscheckDifference | None:
    """The first thing that a registered operator does otherwise than it declares; None for others. `call` stays as it
    is, `seed` is the state of the random numbers.
    """
    ran = call.copied()
    declaration = declaration_of(ran)
    if declaration is None:
        return None
    before = [tensor.clone() for tensor in ran.tensors]
    outcome = attempt(ran, seed=seed)
    if outcome.error is not None:
        return None
    return (
        _written(ran, before, declaration)
        or _shared(ran, outcome, declaration)
        or _kept(call.copied(), outcome, declaration, seed)
        or _predicted_otherwise(call.copied(), outcome)
        or _spoilt(call, seed)
    )


def _written(call: ConcreteCall, before: list[Tensor], declaration: Declaration) -> CrosscheckDifference | None:
    """An argument that is written to although the schema does not say so."""
    written = {_storage(call.tensors[index]) for index in declaration.written}
    for index, (now, then) in enumerate(zip(call.tensors, before, strict=True)):
        if index in declaration.written or _storage(now) in written or not is_plain(now):
            continue
        if now.shape != then.shape:
            detail = f"its shape is {list(now.shape)} instead of {list(then.shape)}, which its schema does not declare"
            return CrosscheckDifference("mutation", f"argument tensor {index}", detail, index=index)
        changed = distance(then, now) > 0
        if bool(changed.any()):
            count = f"{int(changed.sum()):,} of {changed.numel():,}"
            detail = f"{count} elements were written to, which the operator's schema does not declare"
            return CrosscheckDifference("mutation", f"argument tensor {index}", detail, index=index)
    return None


def _storage(tensor: Tensor) -> int:
    return tensor.untyped_storage()._cdata if is_plain(tensor) else id(tensor)


def _shared(call: ConcreteCall, outcome: ConcreteOutcome, declaration: Declaration) -> CrosscheckDifference | None:
    """A result in memory that the schema does not declare it to be in, or not in the memory of what it declares to
    write to and return.
    """
    for number, part, allowed in _results(outcome, declaration):
        what = "the result" if len(outcome.outputs) == 1 else f"result {number}"
        for index, argument in enumerate(call.tensors):
            if index not in allowed and _overlap(part, argument):
                detail = f"shares memory with argument tensor {index}, which the operator's schema does not declare"
                return CrosscheckDifference("shared", what, detail, index=number, place=len(outcome.outputs) + index)
        for index, other in enumerate(outcome.outputs[:number]):
            if isinstance(other, Tensor) and not allowed and _overlap(part, other):
                detail = f"shares memory with result {index}, which the operator's schema does not declare"
                return CrosscheckDifference("shared", what, detail, index=number, place=index)
        written = [index for index in allowed if index in declaration.written]
        if written and not any(_storage(part) == _storage(call.tensors[index]) for index in written):
            detail = f"is not argument tensor {written[0]}, which the operator declares to write to and to return"
            return CrosscheckDifference("apart", what, detail, index=number, place=len(outcome.outputs) + written[0])
    return None


def _results(outcome: ConcreteOutcome, declaration: Declaration) -> Iterator[tuple[int, Tensor, frozenset[int]]]:
    """The tensors of a result, their numbers, and the arguments in whose memory the schema says that they may be."""
    parts = outcome.result if isinstance(outcome.result, tuple) else (outcome.result,)
    number = 0
    for part, allowed in zip(parts, declaration.returned, strict=False):
        for leaf in tree_leaves(part):
            if isinstance(leaf, Tensor) and is_plain(leaf):
                yield number, leaf, allowed
            number += 1


def _kept(
    call: ConcreteCall, first: ConcreteOutcome, declaration: Declaration, seed: Tensor
) -> CrosscheckDifference | None:
    """A result in the memory of the result of another call."""
    later = attempt(call, seed=seed)
    fresh = [part for _, part, allowed in _results(later, declaration) if not allowed]
    for number, part, allowed in _results(first, declaration):
        if not allowed and any(_overlap(part, other) for other in fresh):
            what = "the result" if len(first.outputs) == 1 else f"result {number}"
            return CrosscheckDifference("overwritten", what, "a later call returns its result in the same memory")
    return None


def _overlap(first: Tensor, second: Tensor) -> bool:
    """Whether two tensors have an element in common; columns of one buffer have none."""
    if not (is_plain(first) and is_plain(second)) or _storage(first) != _storage(second):
        return False
    if first.element_size() != second.element_size():
        return True
    begin, end = max(span(first)[0], span(second)[0]), max(span(first)[1], span(second)[1])
    if begin >= min(span(first)[1], span(second)[1]):
        return False
    used = torch.zeros(end, dtype=torch.bool)
    used.as_strided(first.shape, first.stride(), first.storage_offset()).fill_(True)
    return bool(used.as_strided(second.shape, second.stride(), second.storage_offset()).any())


def _predicted_otherwise(call: ConcreteCall, outcome: ConcreteOutcome) -> CrosscheckDifference | None:
    """A result that is not as the operator's fake kernel says."""
    stand_ins = FakeStandIns()
    fakes = call.mapped(lambda tensor: stand_ins.make(meta_of(tensor.detach())))
    try:
        with stand_ins.active():
            predicted = tree_leaves(fakes.run())
    except (*UNSUPPORTED_ERRORS, *DATA_DEPENDENT_ERRORS):
        return None
    except REFUSALS as error:
        if NO_FAKE_KERNEL in str(error) or is_about_data(error):
            return None
        return CrosscheckDifference("fake", "the fake kernel", f"raises {compare.error_words(error)}")
    if len(predicted) != len(outcome.outputs):
        detail = f"{len(predicted)} parts, where the operator gives {len(outcome.outputs)}"
        return CrosscheckDifference("fake", "the result of the fake kernel", detail)
    for index, (fake, real) in enumerate(zip(predicted, outcome.outputs, strict=True)):
        if not (isinstance(fake, Tensor) and isinstance(real, Tensor) and is_plain(real)):
            continue
        difference = tensor_difference(real, fake, PREDICTED)
        if difference is not None:
            what = "the result" if len(predicted) == 1 else f"result {index}"
            detail = f"{difference.actual}, where the operator gives {difference.expected}"
            return CrosscheckDifference("fake", f"the {difference.kind} of {what} of the fake kernel", detail)
    return None


def _spoilt(call: ConcreteCall, seed: Tensor) -> CrosscheckDifference | None:
    """What backward writes to of what it is given, or a gradient that is another one the second time."""
    if not torch.is_grad_enabled() or not any(tensor.requires_grad for tensor in call.tensors):
        return None
    leaves = {id(one): one.detach().clone().requires_grad_(one.is_floating_point()) for one in call.tensors}
    arguments = list(leaves.values())
    outcome = attempt(call.mapped(lambda tensor: leaves[id(tensor)]), seed=seed)
    results = [part for part in outcome.outputs if isinstance(part, Tensor) and part.requires_grad]
    if outcome.error is not None or not results:
        return None
    cotangents = list(map(cotangent, results))
    before = [tensor.detach().clone() for tensor in (*arguments, *cotangents)]
    wanted = [leaf for leaf in arguments if leaf.requires_grad]
    gradients: list[list[Tensor | None]] = []
    for _ in range(2):
        try:
            derivatives: Any = torch.autograd.grad(results, wanted, cotangents, retain_graph=True, allow_unused=True)
        except REFUSALS:
            return None
        gradients.append([None if part is None else part.clone() for part in derivatives])
        for index, (now, then) in enumerate(zip((*arguments, *cotangents), before, strict=True)):
            if bool((distance(then, now.detach()) > 0).any()):
                number = index - len(arguments)
                what = f"the gradient of result {number}" if number >= 0 else f"argument tensor {index}"
                return CrosscheckDifference("backward", what, "is written to by the operator's backward")
    for index, (one, other) in enumerate(zip(*gradients, strict=True)):
        if one is not None and other is not None and bool((distance(one, other) > compare.noise(one)).any()):
            return CrosscheckDifference("backward", f"gradient {index}", "is another one when backward runs again")
    return None
