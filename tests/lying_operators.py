"""Custom operators that are not what they say: in their schemas, their fake kernels, their derivatives, or from call to
call. Their values are right for an ordinary first call.
"""

import torch

LIBRARY = torch.library.Library("lying", "DEF")
calls = [0]
kept = []


def define(schema, kernel, fake=None, backward=None, setup=None):
    """An operator of the dispatcher, which checks nothing of what its schema promises."""
    name = schema.split("(")[0]
    LIBRARY.define(schema)
    LIBRARY.impl(name, kernel, "CPU")
    if fake is not None:
        torch.library.register_fake(f"lying::{name}", fake, lib=LIBRARY)
    if backward is not None:
        torch.library.register_autograd(f"lying::{name}", backward, setup_context=setup, lib=LIBRARY)


def like(x, *rest):
    return torch.empty_like(x)


def keep_inputs(ctx, inputs, output):
    ctx.save_for_backward(inputs[0])


# Schemas ------------------------------------------------------------------------------------------------


def write_second(x, y):
    result = x + y
    y.zero_()
    return result


def write_to_view_of(x):
    result = x.relu()
    x.view(-1)[:1].add_(1)
    return result


def rectified_list(parts):
    result = [part.relu() for part in parts]
    parts[-1].mul_(2)
    return result


def grown(x):
    result = x * 2
    x.resize_(x.numel() + 1)
    return result


def transposed_itself(x):
    result = x.sum()
    x.t_()
    return result


define("same(Tensor x) -> Tensor", lambda x: x, like)
define("first_row(Tensor x) -> Tensor", lambda x: x[0], lambda x: x.new_empty(x.shape[1:]))
define("twice(Tensor x) -> (Tensor, Tensor)", lambda x: (x * 2,) * 2, lambda x: (like(x), like(x)))
define(
    "two_views(Tensor x) -> (Tensor, Tensor)", lambda x: (lambda y: (y, y.view(-1)))(x * 2),
    lambda x: (like(x), x.new_empty(x.numel())),
)  # fmt: skip
define("write_second(Tensor x, Tensor y) -> Tensor", write_second, like)
define("write_to_view_of(Tensor x) -> Tensor", write_to_view_of, like)
define("rectified_list(Tensor[] parts) -> Tensor[]", rectified_list, lambda parts: [like(part) for part in parts])
define("grown(Tensor x) -> Tensor", grown, like)
define("transposed_itself(Tensor x) -> Tensor", transposed_itself, lambda x: x.new_empty(()))
define("never_writes_(Tensor(a!) x) -> Tensor(a!)", lambda x: x + 1, lambda x: x)

# Fake kernels -------------------------------------------------------------------------------------------

define("wrong_rank(Tensor x) -> Tensor", lambda x: x.sum(0), lambda x: x.new_empty((1, x.shape[1])))
define("wrong_size(Tensor x) -> Tensor", lambda x: x[:-1] * 2, lambda x: like(x))
define("wrong_dtype(Tensor x) -> Tensor", lambda x: x > 0, like)
define("wrong_strides(Tensor x) -> Tensor", lambda x: (x * 2).t(), lambda x: x.new_empty(x.shape[::-1]))
define(
    "wrong_count(Tensor x) -> Tensor[]", lambda x: [x * 2, x * 3, x * 4], lambda x: [like(x), like(x)],
)  # fmt: skip

# Derivatives --------------------------------------------------------------------------------------------


def spoils_gradient(ctx, gradient):
    return gradient.mul_(2)


def spoils_saved(ctx, gradient):
    (x,) = ctx.saved_tensors
    return gradient * x.detach().cos_()


def counts_backwards(ctx, gradient):
    calls[0] += 1
    return gradient * 2 * (1 if calls[0] % 2 else 1.5)


define("half_derivative(Tensor x) -> Tensor", lambda x: x * 2, like, lambda ctx, gradient: gradient, keep_inputs)
define("no_gradient(Tensor x) -> Tensor", lambda x: x * 2, like, lambda ctx, gradient: None, keep_inputs)
define("spoils_gradient(Tensor x) -> Tensor", lambda x: x * 2, like, spoils_gradient, keep_inputs)
define("spoils_saved(Tensor x) -> Tensor", lambda x: x.sin(), like, spoils_saved, keep_inputs)
define("counts_backwards(Tensor x) -> Tensor", lambda x: x * 2, like, counts_backwards, keep_inputs)
define(
    "swapped_gradients(Tensor x, Tensor y) -> Tensor", lambda x, y: x * 2 + y * 3, like,
    lambda ctx, gradient: (gradient * 3, gradient * 2), keep_inputs,
)  # fmt: skip

# From call to call --------------------------------------------------------------------------------------


def same_buffer(x):
    if not kept or kept[0].shape != x.shape:
        kept[:] = [torch.empty_like(x)]
    return kept[0].copy_(x * 2)


def threaded(x):
    return x * 2 if torch.get_num_threads() == THREADS else x * 3


def in_grad_mode(x):
    return x * 2 if torch.is_grad_enabled() else x * 3


THREADS = torch.get_num_threads()
define("same_buffer(Tensor x) -> Tensor", same_buffer, like)
define("threaded(Tensor x) -> Tensor", threaded, like)
