"""Programs that replace a builtin: the tracer never calls their function for purposes of its own."""

import builtins

import torch

from tracer import capture, counters, reset


def test_a_replaced_builtin_is_the_programs_alone(monkeypatch):
    """Frames run natively meanwhile: a capture calls builtins, and imports, for purposes of its own."""
    imported, measured = [], []
    original_import, original_len = builtins.__import__, builtins.len

    def counting_import(name, *args, **kwargs):
        imported.append(name)
        return original_import(name, *args, **kwargs)

    def counting_len(items):
        measured.append(items)
        return original_len(items) + 1

    def program(x, items):
        import math

        return x * len(items) + math.pi

    reset()
    captured = capture(program)
    plain = program(torch.ones(2), [1])
    for name, function in (("__import__", counting_import), ("len", counting_len)):
        with monkeypatch.context() as patch:
            patch.setattr(builtins, name, function)
            assert torch.equal(captured(torch.ones(2), [1]), plain + (name == "len"))
    assert imported == ["math"] and measured == [[1]]
    assert counters().captures == 0
    assert torch.equal(captured(torch.ones(2), [1]), plain)
    assert counters().graphs == 1
