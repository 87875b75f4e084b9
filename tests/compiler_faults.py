"""Compilers that go wrong as whole programs: each gets one thing wrong that no operator does.

`running` makes a compiler of what it does at each call.
"""

import torch


def running(run):
    """A compiler whose programs are `run(graph module, inputs)`."""

    def candidate(module, example_inputs):
        return lambda *inputs: run(module, inputs)

    return candidate


def changing(change):
    """A compiler whose results pass through `change`."""
    return running(lambda module, inputs: tuple(change(part) for part in module(*inputs)))


def replaying(module, example_inputs):
    """The graph itself: nothing is wrong."""
    return module.forward


# Results ----------------------------------------------------------------------------------------------


def in_one_buffer(module, example_inputs):
    """Returns the same memory at each call."""
    buffers = []

    def run(*inputs):
        results = module(*inputs)
        if not buffers:
            buffers.extend(part.clone() for part in results)
        for buffer, part in zip(buffers, results, strict=True):
            buffer.copy_(part)
        return tuple(buffers)

    return run


def in_one_memory(module, inputs):
    """Computes the second result in the memory of the first."""
    first, *others = module(*inputs)
    return first, *(first.view_as(other) for other in others)


class Tagged(torch.Tensor):
    """A subclass without a meaning."""


def tagged(part):
    return part.as_subclass(Tagged)


def contiguous(part):
    return part.contiguous()


def detached(part):
    return part.detach()


def differentiable(part):
    return part.requires_grad_()


# Arguments --------------------------------------------------------------------------------------------


def writing_back(module, inputs):
    """Writes to an input the values that it has."""
    results = module(*inputs)
    inputs[0].mul_(1)
    return results


def asking_for_gradients(module, inputs):
    results = module(*inputs)
    inputs[0].requires_grad_()
    return results


def leaving_gradients(module, inputs):
    results = module(*inputs)
    inputs[0].grad = torch.ones_like(inputs[0])
    return results


def moving_inputs(module, inputs):
    results = module(*inputs)
    inputs[0].data = inputs[0].data.t().contiguous().t()
    return results


def writing_constants(module, inputs):
    results = module(*inputs)
    for tensor in module.buffers():
        tensor.add_(1)
    return results


# Circumstances ----------------------------------------------------------------------------------------


def wrong_where(condition):
    """A compiler whose programs add 1 to their results where `condition(inputs)` holds."""

    def run(module, inputs):
        return tuple(part + 1 if condition(inputs) else part for part in module(*inputs))

    return running(run)


def with_first_mean(module, example_inputs):
    """Takes a number of the first call for a constant."""
    means = []

    def run(*inputs):
        (result,) = module(*inputs)
        if not means:
            means.append(result.mean().detach().clone())
        return (result - result.mean() + means[0],)

    return run


def remembering_addresses(module, example_inputs):
    """Gives the result again that it gave for tensors at the same place."""
    results = {}

    def run(*inputs):
        key = inputs[0].data_ptr()
        if key not in results:
            results[key] = module(*inputs)
        return tuple(part.clone() for part in results[key])

    return run


def with_first_numbers(module, example_inputs):
    """Draws the random numbers of the moment of compilation, always."""
    state = torch.get_rng_state()

    def run(*inputs):
        torch.set_rng_state(state)
        return module(*inputs)

    return run


# Going backward: of `torch.sin`, or of sine and cosine ----------------------------------------------------


def applying(function):
    """A compiler that computes the whole graph by a torch.autograd.Function."""

    def run(module, inputs):
        results = function.apply(*inputs)
        return results if isinstance(results, tuple) else (results,)

    return running(run)


class SavingSine(torch.autograd.Function):
    """A sine that goes backward from its input."""

    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x.sin()


class ConstantSlope(SavingSine):
    """The slope of a sine is taken for a constant."""

    @staticmethod
    def backward(ctx, gradient):
        return gradient * ctx.saved_tensors[0].detach().cos()


class SpentSlope(torch.autograd.Function):
    """Multiplies what was kept for backward in place."""

    @staticmethod
    def forward(ctx, x):
        ctx.slope = x.detach().cos()
        return x.sin()

    @staticmethod
    def backward(ctx, gradient):
        return ctx.slope.mul_(gradient)


class OnesForNone(torch.autograd.Function):
    """Takes a missing gradient for ones."""

    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        ctx.set_materialize_grads(False)
        return x.sin(), x.cos()

    @staticmethod
    def backward(ctx, *gradients):
        (x,) = ctx.saved_tensors
        first, second = (torch.ones_like(x) if one is None else one for one in gradients)
        return first * x.cos() - second * x.sin()


class HalfPrecisionSlope(SavingSine):
    """Goes backward in bfloat16."""

    @staticmethod
    def backward(ctx, gradient):
        return (gradient * ctx.saved_tensors[0].cos()).bfloat16()
