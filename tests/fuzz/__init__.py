"""Differential fuzzing: random programs and random changes of state between their calls, plain against captured.

`python -m tests.fuzz` (or `make fuzz`) runs it; see `__main__.py` for what can be chosen. `surroundings.py` has the
module that every program runs in, `grammar.py` writes programs and changes from the tables of `templates.py` and
`changes.py`, `worlds.py` runs one program plainly and captured and compares what can be observed (`observation.py`),
and `campaign.py` runs many and writes a test for each kind of difference. `planted.py` has faults that must be found.
"""
