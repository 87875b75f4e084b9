"""Decision lists: which conditions are chosen for rows that the simplest answer does not explain."""

from passes.infer.search.conditions import Condition
from passes.infer.search.decide import AnswerCandidate, decide
from passes.infer.search.sample import bits
from passes.rules.rule import UNKNOWN, Case

ROWS = 200
EVERYTHING = (1 << ROWS) - 1


def rows(chosen) -> int:
    return bits(row in chosen for row in range(ROWS))


def condition(text: str, chosen) -> Condition:
    return Condition(text, rows(chosen), EVERYTHING, 1.0)


def test_one_row_does_not_justify_two_conditions():
    answer = AnswerCandidate("x.shape", EVERYTHING & ~rows({7}), 1.0)
    conditions = [condition("flag", {5, 6, 7}), condition("is_empty(x)", {7, 8, 9, 10})]
    assert decide([answer], conditions, EVERYTHING) == (Case("flag", UNKNOWN), Case("", "x.shape"))


def test_many_rows_justify_two_conditions():
    failing = set(range(0, 40, 2))
    answer = AnswerCandidate("x.shape", EVERYTHING & ~rows(failing), 1.0)
    conditions = [condition("flag", range(40)), condition("even", range(0, ROWS, 2))]
    assert decide([answer], conditions, EVERYTHING) == (Case("even and flag", UNKNOWN), Case("", "x.shape"))


def test_one_condition_separates_another_answer():
    some = rows(range(40))
    answers = [AnswerCandidate("x.shape", EVERYTHING & ~some, 1.0), AnswerCandidate("y.shape", some, 1.5)]
    assert decide(answers, [condition("flag", range(40))], EVERYTHING) == (Case("flag", "y.shape"), Case("", "x.shape"))
