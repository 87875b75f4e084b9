"""Operator metas and their evaluation: what a call of one operator gives, predicted from metas alone.

    catalogue.py      what is known of torch's operators by name
    outcome.py        argument shapes, outcomes and refusals of a call
    difference.py     in what two outcomes, metas or tensors differ
    evaluate.py       the evaluator: a rule, then a trial, remembered for the next equal call
    argument_only.py  calls whose result follows from argument metadata alone
    trial.py          an operator run once on stand-ins
    naming.py         what an operator is called, and its arguments by name with the defaults of its schema
    resolve.py        the inverse: the operator that a name means, and the arguments it is called with
    spellings.py      the names that mean the same: aliases, Python operators, parameters
    stand_ins.py      the tensors that trials run on
    verify.py         predictions against what a graph really did
    modes.py          the state of torch that decides what an operator returns, besides its arguments

Knows nothing of graphs, bytecode or how rules are learned.
"""
