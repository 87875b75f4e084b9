"""Assessment: what rules say of recorded calls and of each other.

assess.py   the calls of one operator that its rules predict, mispredict, or leave alone
compare.py  two rulebooks with each other, and one with corpora
merge.py    two rulebooks made one, of each operator the better rules
audit.py    rules, FakeTensor and the meta device against the real operator
"""
