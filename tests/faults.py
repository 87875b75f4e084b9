"""Planted faults: more than seventy kinds, each a call, a compiler that gets it wrong, and what has to be reported.

A compiler is made by `swap`, which puts a wrong function in the place of one operator, or is written below. Most faults
are right for most inputs, as real ones are.
"""

import torch
from torch.nn import functional

nan, inf = float("nan"), float("inf")
X = torch.linspace(-2, 3, 24).reshape(4, 6)
POSITIVE = X.abs() + 0.5
SQUARE = torch.linspace(-1, 1, 9).reshape(3, 3).sin()
IMAGE = torch.linspace(-1, 1, 72).reshape(1, 2, 6, 6).cos()
INTEGERS = torch.tensor([[7, -7, 3, 100], [-3, 5, 120, 2]])
ROWS = torch.tensor([[0, 2, 1, 3, 0, 1]] * 4)


def swap(name, wrong):
    """A compiler that calls `wrong` for an operator."""

    def candidate(module, example_inputs):
        for node in module.graph.nodes:
            if name in (node.target, getattr(node.target, "__name__", None)) and node.op.startswith("call_"):
                node.op, node.target = "call_function", wrong
        module.recompile()
        return module.forward

    return candidate


def dropping(name):
    """A compiler that takes a write for dead code."""

    def candidate(module, example_inputs):
        for node in reversed(module.graph.nodes):
            if name in (node.target, getattr(node.target, "__name__", None)) and not node.users:
                module.graph.erase_node(node)
        module.recompile()
        return module.forward

    return candidate


def every(period, name, wrong):
    """A compiler whose programs go wrong at every `period`-th call."""

    def candidate(module, example_inputs):
        calls = [0]

        def sometimes(*args, **kwargs):
            calls[0] += 1
            right = originals[0](*args, **kwargs)
            return wrong(right) if calls[0] % period == 0 else right

        originals = []
        for node in module.graph.nodes:
            if getattr(node.target, "__name__", None) == name:
                originals.append(node.target)
                node.target = sometimes
        module.recompile()
        return module.forward

    return candidate


class WrongSine(torch.autograd.Function):
    """A sine whose gradient is a tenth of a percent off."""

    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return torch.sin(x)

    @staticmethod
    def backward(ctx, gradient):
        return gradient * torch.cos(ctx.saved_tensors[0]) * 1.001


class DetachedProduct(torch.autograd.Function):
    """A product whose second factor gets no gradient."""

    @staticmethod
    def forward(ctx, x, y):
        ctx.save_for_backward(y)
        return x * y

    @staticmethod
    def backward(ctx, gradient):
        return gradient * ctx.saved_tensors[0], torch.zeros_like(gradient)


def without_last(x, *args):
    result = torch.bmm(x, *args)
    result[-1] = 0
    return result


def two_pass_norm(x, shape, weight=None, bias=None, eps=1e-5, unbiased=True):
    centred = x - x.mean(-1, keepdim=True)
    result = centred / (x.var(-1, keepdim=True, unbiased=unbiased) + eps).sqrt()
    result = result if weight is None else result * weight
    return result if bias is None else result + bias


def last_of_duplicates(x, dim, index, source):
    return x.scatter(dim, index, source)


def forgets_statistics(x, weight, bias, mean, var, training, momentum, eps, *rest):
    return torch.batch_norm(x, weight, bias, mean.clone(), var.clone(), training, momentum, eps, False)


def draws_twice(x, p, training):
    torch.rand(3)
    return functional.dropout(x, p, training)


def topk_of_smallest(x, k, *args):
    return torch.topk(x, k, largest=False)


def raises(*args):
    raise RuntimeError("no such instruction")


# What is called, the operator that is wrong, what is computed in its place, the inputs, what has to be reported.
SWAPS = {
    "relu loses NaN": (
        lambda x: torch.relu(x), "relu", lambda x: torch.where(x > 0, x, 0.0), (torch.tensor([nan, -1, 2]),), "values"),
    "exp is clamped at infinity": (
        lambda x: torch.exp(x), "exp", lambda x: torch.exp(x.clamp(max=3)), (torch.tensor([inf, 1, 2]),), "values"),
    "exp overflows to a number": (
        lambda x: torch.exp(x), "exp", lambda x: torch.exp(x.clamp(max=80)), (torch.tensor([1e3, 1, 2]),), "values"),
    "exp overflows to NaN": (
        lambda x: torch.exp(x), "exp", lambda x: torch.exp(x) * torch.exp(x) / torch.exp(x),
        (torch.tensor([80.0, 1, 2]),), "values"),
    "a pole gives zero": (
        lambda x: torch.reciprocal(x), "reciprocal", lambda x: torch.where(x == 0, 0.0, 1 / x),
        (torch.tensor([0.0, 1, 2]),), "values"),
    "the logarithm of zero is finite": (
        lambda x: torch.log(x), "log", lambda x: torch.log(x.clamp(min=1e-30)), (torch.tensor([0.0, 1, 2]),), "values"),
    "0 / 0 gives zero": (
        lambda x, y: torch.div(x, y), "div", lambda x, y: torch.where(y == 0, 0.0, x / y),
        (torch.zeros(3), torch.tensor([0.0, 1, 2])), "values"),
    "the root of a negative number": (
        lambda x: torch.sqrt(x), "sqrt", lambda x: torch.sqrt(x.clamp(min=0)), (torch.tensor([-1.0, 4]),), "values"),
    "the root of zero": (
        lambda x: torch.sqrt(x), "sqrt", lambda x: torch.sqrt(x + 1e-6), (torch.tensor([0.0, 4]),), "values"),
    "a row that is masked whole": (
        lambda x: torch.softmax(x, -1), "softmax", lambda x, dim: torch.softmax(x, dim).nan_to_num(0.0),
        (torch.tensor([[-inf, -inf], [0, 1]]),), "values"),
    "an infinity of the other sign": (
        lambda x: torch.neg(x), "neg", lambda x: torch.where(x.isinf(), x, -x), (torch.tensor([inf, 1]),), "values"),
    "off by a thousandth": (
        lambda x: torch.sigmoid(x), "sigmoid", lambda x: torch.sigmoid(x) * 1.001, (X,), "values"),
    "an approximation": (
        lambda x: functional.gelu(x), "gelu", lambda x, **_: functional.gelu(x, approximate="tanh"), (X,), "values"),
    "clipped": (lambda x: torch.tanh(x), "tanh", lambda x: x.clamp(-1, 1), (X,), "values"),
    "alpha is ignored": (
        lambda x, y: torch.add(x, y, alpha=2), "add", lambda x, y, alpha=1: x + y, (X, X), "values"),
    "operands swapped": (lambda x, y: torch.sub(x, y), "sub", lambda x, y: y - x, (X, POSITIVE), "values"),
    "a quotient rounded down": (
        lambda x, y: torch.div(x, y), "div", lambda x, y: torch.floor(x / y), (X, POSITIVE), "values"),
    "computed in bfloat16": (
        lambda x, y: torch.mul(x, y), "mul", lambda x, y: (x.bfloat16() * y.bfloat16()).float(), (X, X), "values"),
    "a product in bfloat16": (
        lambda x, y: torch.matmul(x, y), "matmul", lambda x, y: (x.bfloat16() @ y.bfloat16()).float(),
        (X, X.t()), "values"),
    "a matrix transposed": (
        lambda x, y: torch.mm(x, y), "mm", lambda x, y: torch.mm(x, y.t()), (SQUARE, SQUARE), "values"),
    "the last of a batch": (
        lambda x, y: torch.bmm(x, y), "bmm", without_last, (SQUARE.expand(2, 3, 3), SQUARE.expand(2, 3, 3)), "values"),
    "a bias lost": (
        lambda x, w, b: functional.linear(x, w, b), "linear", lambda x, w, b: functional.linear(x, w),
        (X, X, torch.ones(4)), "values"),
    "a stride ignored": (
        lambda x, w: torch.conv2d(x, w, stride=2), "conv2d", lambda x, w, **_: torch.conv2d(x, w),
        (IMAGE, IMAGE[:, :, :3, :3]), "shape"),
    "padding with ones": (
        lambda x, w: torch.conv2d(x, w, padding=1), "conv2d",
        lambda x, w, **_: torch.conv2d(functional.pad(x, (1, 1, 1, 1), value=1.0), w),
        (IMAGE, IMAGE[:, :, :3, :3]), "values"),
    "an unbiased variance": (
        lambda x, w, b: functional.layer_norm(x, (6,), w, b), "layer_norm", two_pass_norm,
        (X, torch.ones(6), torch.zeros(6)), "values"),
    "another epsilon": (
        lambda x: functional.layer_norm(x, (6,), eps=1e-2), "layer_norm",
        lambda x, shape, w, b, eps, *rest: functional.layer_norm(x, shape, w, b), (X * 0.1,), "values"),
    "running statistics forgotten": (
        lambda x, m, v: functional.batch_norm(x, m, v, training=True), "batch_norm", forgets_statistics,
        (X, torch.zeros(6), torch.ones(6)), "values"),
    "groups taken for one": (
        lambda x: functional.group_norm(x, 2), "group_norm", lambda x, groups, *rest: functional.group_norm(x, 1),
        (IMAGE * torch.tensor([1.0, 5.0]).reshape(1, 2, 1, 1),), "values"),
    "another dimension": (
        lambda x: torch.softmax(x, -1), "softmax", lambda x, dim: torch.softmax(x, 0), (SQUARE,), "values"),
    "an unstable logarithm": (
        lambda x: torch.log_softmax(x, -1), "log_softmax", lambda x, dim: torch.softmax(x, dim).log(),
        (torch.tensor([[0.0, 200.0]]),), "values"),
    "an exclusive sum": (
        lambda x: torch.cumsum(x, 1), "cumsum", lambda x, dim: torch.cumsum(x, dim) - x, (X,), "values"),
    "a sum that overflows": (
        lambda x: torch.sum(x), "sum", lambda x: x.to(torch.int8).sum(dtype=torch.int8).long(), (INTEGERS,), "values"),
    "a biased variance": (lambda x: torch.var(x, 1), "var", lambda x, d: x.var(d, unbiased=False), (X,), "values"),
    "a maximum's index": (
        lambda x: torch.argmax(x, 1), "argmax", lambda x, dim: torch.argmax(x, dim) - 1, (X,), "values"),
    "several results": (
        lambda x: torch.topk(x, 2), "topk", lambda x, k: (torch.topk(x, k)[0] + 1, torch.topk(x, k)[1]), (X,),
        "values"),
    "several results, the second": (
        lambda x: torch.max(x, 1), "max", lambda x, d: (x.max(d)[0], x.max(d)[1] // 2), (X,), "values"),
    "smallest for largest": (lambda x: torch.topk(x, 2), "topk", topk_of_smallest, (X,), "values"),
    "another order": (
        lambda x: torch.sort(x, 1), "sort", lambda x, d: torch.sort(x, d, descending=True), (X,), "values"),
    "an index too far": (
        lambda x, i: torch.gather(x, 1, i), "gather", lambda x, d, i: torch.gather(x, d, (i + 1) % 6), (X, ROWS),
        "values"),
    "duplicates lost": (
        lambda x, i, y: torch.scatter_add(x, 1, i, y), "scatter_add", last_of_duplicates, (X, ROWS, X), "values"),
    "accumulation lost": (
        lambda x, i, y: torch.index_add(x, 0, i, y), "index_add", lambda x, d, i, y: x.index_copy(d, i, y),
        (X, torch.tensor([1, 1]), X[:2]), "values"),
    "a row of padding": (
        lambda i, w: functional.embedding(i, w), "embedding",
        lambda w, i, *rest: functional.embedding(i, w) * (i > 0).unsqueeze(-1), (ROWS, X), "values"),
    "branches swapped": (
        lambda x, y: torch.where(x > 0, x, y), "where", lambda c, x, y: torch.where(c, y, x), (X, POSITIVE), "values"),
    "a lower bound lost": (
        lambda x: torch.clamp(x, -1, 1), "clamp", lambda x, low, high: x.clamp(max=high), (X,), "values"),
    "a value truncated": (
        lambda x: torch.masked_fill(x, x > 0, 0.5), "masked_fill", lambda x, m, v: x.masked_fill(m, int(v)), (X,),
        "values"),
    "parts in another order": (
        lambda x, y: torch.cat([x, y]), "cat", lambda parts: torch.cat(parts[::-1]), (X, POSITIVE), "values"),
    "a list of results": (
        lambda x: torch.chunk(x, 2), "chunk", lambda x, count: [part * 2 for part in torch.chunk(x, count)], (X,),
        "aliasing"),
    "rolled the other way": (lambda x: torch.roll(x, 1), "roll", lambda x, n: torch.roll(x, -n), (X,), "values"),
    "not flipped": (lambda x: torch.flip(x, [0]), "flip", lambda x, dims: x.clone(), (X,), "values"),
    "no ceiling": (
        lambda x: functional.avg_pool2d(x, 2, padding=1), "avg_pool2d",
        lambda x, k, **_: functional.avg_pool2d(x, k, padding=1, count_include_pad=False), (IMAGE,), "values"),
    "not scaled": (
        lambda x: functional.dropout(x, 0.5), "dropout", lambda x, p, t: functional.dropout(x, p, t) * (1 - p), (X,),
        "values"),
    "other random numbers": (lambda x: functional.dropout(x, 0.5), "dropout", draws_twice, (X,), "values"),
    "another sign of a remainder": (
        lambda x, y: torch.remainder(x, y), "remainder", lambda x, y: torch.fmod(x, y), (X, POSITIVE), "values"),
    "rounded towards zero": (
        lambda x: torch.floor_divide(x, 2), "floor_divide", lambda x, y: torch.div(x, y, rounding_mode="trunc"),
        (INTEGERS,), "values"),
    "an integer wraps": (
        lambda x: torch.mul(x, 3), "mul", lambda x, y: (x.to(torch.int8) * y).long(), (INTEGERS,), "values"),
    "a comparison of whole numbers": (
        lambda x: torch.ge(x, 0.5), "ge", lambda x, y: x >= int(y), (X,), "values"),
    "a conjugate lost": (
        lambda x: torch.conj_physical(x), "conj_physical", lambda x: x.clone(), (torch.complex(X, X),), "values"),
    "a label that is ignored": (
        lambda x, y: functional.cross_entropy(x, y), "cross_entropy_loss",
        lambda x, y, *rest: functional.cross_entropy(x, y, reduction="sum"), (X, torch.tensor([0, 1, 2, 3])), "values"),
    "another dtype": (lambda x: torch.sum(x, 1), "sum", lambda x, d: x.double().sum(d), (X,), "dtype"),
    "another shape": (lambda x: torch.sum(x, 1), "sum", lambda x, d: x.sum(d, keepdim=True), (X,), "shape"),
    "a view that is a copy": (lambda x: torch.t(x), "t", lambda x: x.t().clone(), (X,), "aliasing"),
    "a copy that is a view": (lambda x: torch.clone(x), "clone", lambda x: x.view(4, 6), (X,), "aliasing"),
    "an error": (lambda x: torch.erf(x), "erf", raises, (X,), "error"),
}  # fmt: skip
