"""What a script does once everything is defined: for each kind of difference, statements that show it and assert that
it is not there. Nothing here knows of calls.
"""

from __future__ import annotations

from typing import Final

EXPECTED: Final = """seed()
arguments = {arguments}
parts = observed({program}(*arguments), arguments)
expected = parts[{index}]
"""
FOUND: Final = """seed()
arguments = inputs()
parts = observed({run}(*arguments), arguments)
found = parts[{index}]
"""
ELEMENT: Final = """{expected}{prepare}{found}
wanted, got = expected.flatten()[{place}].item(), found.flatten()[{place}].item()
print(f"element {place} of {{list(found.shape)}}: {{got}} instead of {{wanted}}, off by {{abs(got - wanted)}}")
is_right = got == wanted or got != got and wanted != wanted or abs(got - wanted) <= {allowed!r}
assert is_right, "wrong value"
"""
FACT: Final = """{expected}wanted = {fact_expected}
{found}got = {fact_found}
print(got, "instead of", wanted)
assert got == wanted, "wrong {kind}"
"""
BODIES: Final = {
    "values": ELEMENT,
    "gradient": ELEMENT,
    "shape": FACT,
    "dtype": FACT,
    "strides": FACT,
    "aliasing": FACT,
    "identity": FACT,
    "requires_grad": FACT,
    "is_conj": FACT,
    "is_neg": FACT,
    "is_inference": FACT,
    "grad": FACT,
    "sign": """{expected}{prepare}{found}
wanted, got = (part.flatten()[{place}].item() for part in (expected, found))
print(f"element {place} of {{list(found.shape)}}: {{got}} instead of {{wanted}}")
assert str(got) == str(wanted), "wrong sign of zero"
""",
    "outputs": FACT,
    "type": FACT,
    "device": FACT,
    "error": """raised = ""
for _ in range(20):
    seed()
    try:
        {run}(*inputs())
    except Exception as error:
        if type(error).__name__ != {error!r}:
            raise
        raised = f"{{type(error).__name__}}: {{error}}"
print(raised or "nothing was raised")
assert not raised, "it raises"
""",
    "uninitialised": """{expected}
torch.use_deterministic_algorithms(True, warn_only=True)  # fills the memory that torch.empty gives
{found}
is_same = (found == expected) | (found.isnan() & expected.isnan())
print(f"{{int((~is_same).sum())}} of {{is_same.numel()}} elements come from uninitialised memory")
assert bool(is_same.all()), "uninitialised memory was read"
""",
    "nondeterministic": """results = []
for _ in range(20):
    seed()
    arguments = inputs()
    results.append([part.clone() for part in observed({run}(*arguments), arguments)])
pairs = [(part, other) for result in results for part, other in zip(results[0], result)]
print(sum(not same(part, other) for part, other in pairs), "of", len(pairs), "results differ from the first run's")
assert all(same(part, other) for part, other in pairs), "not the same twice"
""",
    "mutation": """arguments, before = inputs(), inputs()
seed()
{run}(*arguments)
changed = [index for index, (now, then) in enumerate(zip(arguments, before)) if not same(now, then)]
print("arguments that were written to:", changed)
assert {index} not in changed, "an argument was overwritten"
""",
    "shared": """seed()
arguments = inputs()
parts = observed({run}(*arguments), arguments)
shared = parts[{index}].untyped_storage()._cdata == parts[{place}].untyped_storage()._cdata
print("in one memory:", shared)
assert not shared, "memory is shared that the schema does not declare to be"
""",
    "apart": """seed()
arguments = inputs()
parts = observed({run}(*arguments), arguments)
shared = parts[{index}].untyped_storage()._cdata == parts[{place}].untyped_storage()._cdata
print("in one memory:", shared)
assert shared, "memory is not shared that the schema declares to be"
""",
    "backward": """leaves = [value.detach().clone().requires_grad_(value.is_floating_point()) for value in inputs()]
seed()
results = [part for part in observed({run}(*leaves), []) if isinstance(part, torch.Tensor) and part.requires_grad]
weights = [torch.randn(part.shape, dtype=torch.float64).to(part.dtype) for part in results]
kept = [value.detach().clone() for value in leaves + weights]
chosen = [leaf for leaf in leaves if leaf.requires_grad]
gradients, changed = [], []
while len(gradients) < 2 and not changed:
    found = torch.autograd.grad(results, chosen, weights, retain_graph=True, allow_unused=True)
    gradients.append([torch.zeros(()) if part is None else part.clone() for part in found])
    changed = [index for index, (now, then) in enumerate(zip(leaves + weights, kept)) if not same(now.detach(), then)]
print("tensors that backward wrote to:", changed, "gradients:", gradients)
agree = all(torch.allclose(one, other, equal_nan=True) for one, other in zip(gradients[0], gradients[-1]))
assert not changed and agree, "backward is wrong"
""",
    "fake": """def facts(values):
    found = []
    for part in observed({run}(*values), []):
        if isinstance(part, torch.Tensor):
            strides = [stride for size, stride in zip(part.shape, part.stride()) if size > 1 and part.numel()]
            part = list(part.shape), part.dtype, part.device, strides
        found.append(part)
    return found


seed()
arguments = inputs()
wanted = facts(inputs())
with torch._subclasses.FakeTensorMode() as mode:
    fakes = [mode.from_tensor(value) if isinstance(value, torch.Tensor) else value for value in arguments]
    try:
        got = facts(fakes)
    except Exception as error:
        got = f"{{type(error).__name__}}: {{error}}"
print(got, "instead of", wanted)
assert got == wanted, "the fake kernel is wrong"
""",
    "written": """seed()
arguments = [value for value in inputs() if isinstance(value, torch.Tensor)]
versions = [value._version for value in arguments]
{run}(*arguments)
print("arguments that were written to:", [value._version != then for value, then in zip(arguments, versions)])
assert arguments[{index}]._version == versions[{index}], "an argument was written to"
""",
    "overwritten": """seed()
first = observed({run}(*inputs()), [])
seed()
later = observed({run}(*inputs()), [])
places = [value.untyped_storage()._cdata for value in later if isinstance(value, torch.Tensor)]
shared = [isinstance(value, torch.Tensor) and value.untyped_storage()._cdata in places for value in first]
print("results in whose memory a later call returns its own:", shared)
assert not any(shared), "a later call overwrites the result of an earlier one"
""",
    "state": """import gc, os, random, sys, warnings


def left(run):  # what a call leaves of it, and whether that is what was there before
    seed()
    arguments, before = inputs(), {state}
    run(*arguments)
    after = {state}
    return after, after == before


wanted, got = left({program}), left({run})
print("the same as before:", got[1])
assert got == wanted, "the state of the process is left changed"
""",
    "slope": """leaves = [wide(value) for value in inputs()]
floating = [value for value in leaves if value.is_floating_point()]
weights = [torch.randn(part.shape, dtype=torch.float64) for part in observed({run}(*leaves), [])]


def value(directions=(), step=0.0, gradients=False):
    moved = [leaf.clone() for leaf in leaves]
    varied = [leaf for leaf in moved if leaf.is_floating_point()]
    for leaf, direction in zip(varied, directions):
        leaf.add_(direction, alpha=step)
    for leaf in varied:
        leaf.requires_grad_(gradients)
    seed()
    parts = observed({run}(*[leaf.clone() for leaf in moved]), [])
    return sum((part * weight).sum() for part, weight in zip(parts, weights) if part.is_floating_point()), varied


total, varied = value(gradients=True)
gradients = torch.autograd.grad(total, varied, allow_unused=True)
for turn in range(-1, 16):  # all elements at once, then a part of them at a time
    directions = [torch.randn(leaf.shape, dtype=leaf.dtype) for leaf in floating]
    if turn >= 0:
        for part in directions:
            part *= torch.arange(part.numel()).reshape(part.shape) % 16 == turn
    along = sum(float((g * h).sum()) for g, h in zip(gradients, directions) if g is not None)
    terms = [float((g * h).square().sum()) for g, h in zip(gradients, directions) if g is not None]
    errors = []
    for step in (1e-2, 1e-3, 1e-4, 1e-5, 1e-6):
        slope = float(value(directions, step)[0] - value(directions, -step)[0]) / (2 * step)
        errors.append(abs(slope - along) / max(abs(slope), abs(along), sum(terms) ** 0.5, 1e-30))
    print(f"slope {{slope:.9g}}, gradient along the direction {{along:.9g}}, off by {{min(errors):.1e}} at best")
    # Two neighbouring steps: a single one may agree by chance.
    agrees = any(error < 1e-4 and other < 1e-4 for error, other in zip(errors, errors[1:]))
    assert agrees, "the gradient is not the slope"
""",
    "outside": """arguments, before = inputs(), inputs()
seed()
{run}(*arguments)
for now, then in zip(arguments, before):
    size = then.untyped_storage().nbytes() // then.element_size()
    outside = torch.ones(size, dtype=torch.bool)
    outside.as_strided(then.shape, then.stride(), then.storage_offset()).fill_(False)
    now, then = (value.as_strided((size,), (1,), 0)[outside] for value in (now, then))
    print("memory around the tensor:", now.tolist(), "was", then.tolist())
    assert same(now, then), "written outside of the tensor"
""",
}
FACTS: Final = {
    "shape": "list({}.shape)",
    "dtype": "{}.dtype",
    "strides": "[stride for size, stride in zip({0}.shape, {0}.stride()) if size > 1]",
    "aliasing": "[isinstance(part, torch.Tensor) and {0}.untyped_storage()._cdata == part.untyped_storage()._cdata"
    " for part in parts]",
    "identity": "[part is {0} for part in parts[: len(parts) - len(arguments)]]",
    "requires_grad": "{}.requires_grad",
    "is_conj": "{}.is_conj()",
    "is_neg": "{}.is_neg()",
    "is_inference": "{}.is_inference()",
    "grad": "{}.grad is not None",
    "outputs": "{}",
    "type": "type({}).__name__",
    "device": "{}.device",
}
PREPARATIONS: Final = {
    "threads": "torch.set_num_threads(1 if torch.get_num_threads() > 1 else 2)\n",
    "other values": """torch.manual_seed({other_seed})
first, others = inputs(), inputs()
for value in first:
    if isinstance(value, torch.Tensor) and value.is_floating_point():
        value.copy_(value.flatten().flip(0).reshape(value.shape) * 2)
candidate(*first)  # is compiled for these
for value, other in zip(first, others):
    if isinstance(value, torch.Tensor):
        value.copy_(other)


def inputs():  # in the tensors that it was compiled for
    return first


""",
}
