"""The search for rules: from the recorded calls of one operator to the expressions and cases that explain them.

Runs nothing: what it learns from is recorded calls, and what comes of trials looks like these.

    observation.py     a recorded call as the search sees it: arguments, form of the result, outputs
    sample.py          calls as columns of values, one for each parameter; rows of them as bits of an integer
    kinds.py           what an argument is, for typing terms
    terms.py           the expressions over a sample's columns, enumerated by type from small to large
    expressions.py     expressions given as text, evaluated on a sample
    quantities.py      the integers that formulas are made of
    arithmetic.py      integer formulas that give a wanted column
    formula_shapes.py  shapes whose sizes are such formulas
    hypotheses.py      for each question about an output: which terms may answer it, in which order they are tried
    conditions.py      what may tell the cases of a rule apart
    decide.py          decision lists: which answer under which condition
    questions.py       all questions about one output
    learn.py           from calls to rules: the parts above put together
"""
