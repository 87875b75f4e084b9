"""Rewriting of graphs by patterns that are plain Python functions, and by passes written on graphs.

    forms.py       what a call means, however it was spelled
    pattern.py     a captured function as a pattern: data, with a file and line
    match.py       where a pattern occurs
    draft.py       a graph while it is changed, and what would show
    inputs.py      inputs that rules are tried with: random ones, and those that break wrong rules
    verify.py      a pattern against its replacement on such inputs
    rule.py        pattern, replacement, example and condition; from functions to patterns
    pipeline.py    passes in their order, and the report
    rules/         the ones that are shipped

Knows nothing of how functions are captured: whoever makes a `RewriteRules` brings a tracer.
"""
