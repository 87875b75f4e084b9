"""Validity: for which arguments a learned rule gives an answer.

novelty.py          what a call has that none before it had
in_distribution.py  rules that answer for calls like the recorded ones only
withdraw.py         rules that give no answer where they were wrong
widen.py            domains widened to what trials confirm
preconditions.py    which calls an operator refuses
"""
