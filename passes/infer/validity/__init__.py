"""Validity: for which arguments a learned rule gives an answer.

novelty.py          what a call has that none before it had
in_distribution.py  rules that answer for calls like the recorded ones only
withdraw.py         rules that give no answer where they were wrong
widen.py            domains widened to what trials confirm
layouts.py          layouts that trials confirm
regain.py           layouts never tried, and withdrawals wider than what contradicted a rule
trials_together.py  what tensors beside each other contradict
preconditions.py    which calls an operator refuses
"""
