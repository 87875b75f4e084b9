"""Trials: new inputs for an operator, how they are made, and what the real operator does with them.

variant.py              inputs to try, taken apart and put together
variants.py             new inputs made of recorded ones by mutation
mutate_tensors.py       mutations of sizes, layouts, dtypes
mutate_numbers.py       mutations of numbers, flags, lists
strides.py              the layouts that mutations give to tensors
equations.py            new equations for operators such as einsum
out_of_distribution.py  mutations that leave what was recorded
discriminate.py         inputs on which two rules disagree
texts.py                inputs as text, for the laboratory
inputs.py               real tensors with given metas
observe.py              one trial in this process
runner.py               what runs trials for a study, and the crashes that came of them
value_dependence.py     calls whose outcome depends on the values in their tensors
"""
