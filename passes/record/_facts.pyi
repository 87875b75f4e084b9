"""Types of the extension module that `passes/record/native` is compiled to."""

def facts_of(most_integers: int, operator: object, /, *values: object) -> bytes | None:
    """Bytes that are equal for calls of `operator` with equal facts.

    Of tensors: size, stride, offset, dtype, device, layout, flags, which are the same and which share
    memory; the elements of integer tensors of at most `most_integers` elements. Of constants: type and value.
    None if a tensor is on the meta device, symbolic, or wraps another: such a call is not the real operator's.
    """
