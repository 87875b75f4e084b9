"""Fake kernels: learned rules written out as functions for torch.library.register_fake.

fake_kernel.py  from a corpus to a registered fake kernel, in one call
emit.py         a rule as source that imports only torch
prelude.py      the source that every such file begins with
"""
