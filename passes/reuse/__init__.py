"""Memory used again: in-place operators for donated inputs and dead intermediates, given memory for outputs.

    calls.py       a node of a graph as a call on metas
    memory.py      which values share memory, how long it is needed, how much there is at once
    observe.py     a call run once on stand-ins: the aten operators it makes, what autograd saves of it
    falsify.py     a variant of a call tried against the plain one on random data
    variants.py    the same call writing to given memory, found through torch's schemas and checked
    plan.py        which call may overwrite what, and why the others may not

Knows nothing of how a graph was captured or of who runs it.
"""
