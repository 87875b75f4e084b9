"""Small pure-Python programs by language feature, each with the arguments to call it with.

Nothing here knows about tensors or about the tracer: CPython is the oracle. A program is a plain function;
`run(program)(*arguments)` must be indistinguishable from `program(*arguments)`.
"""
