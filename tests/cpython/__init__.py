"""CPython's own test suite as a measure: is every test of the interpreter's `test` package the same when captured?

`python -m tests.cpython` (or `make cpython`) runs it; see `__main__.py` for what can be chosen. Each test runs plainly
twice, then captured twice, with a tensor operation before and after it:

    def around(self, tensor):      # captured; called with torch.ones(2)
        larger = tensor + 1
        test(self)                 # followed or, where it breaks the graph, captured as a frame of its own
        return larger * 2

A test that passes plainly must pass captured, without an internal error, and the tensor must be the right one.
"""
