"""Decision lists: which guards are chosen for rows that the simplest answer does not explain."""

from passes.infer.search.conditions import Guard
from passes.infer.search.decide import Candidate, decide
from passes.infer.search.sample import bits
from passes.rules.rule import UNKNOWN, Case

ROWS = 200
EVERYTHING = (1 << ROWS) - 1


def rows(chosen) -> int:
    return bits(row in chosen for row in range(ROWS))


def guard(text: str, chosen) -> Guard:
    return Guard(text, rows(chosen), EVERYTHING, 1.0)


def test_two_guards_are_not_borne_out_by_one_row():
    answer = Candidate("x.shape", EVERYTHING & ~rows({7}), 1.0)
    guards = [guard("flag", {5, 6, 7}), guard("is_empty(x)", {7, 8, 9, 10})]
    assert decide([answer], guards, EVERYTHING) == (Case("flag", UNKNOWN), Case("", "x.shape"))


def test_two_guards_are_borne_out_by_many_rows():
    failing = set(range(0, 40, 2))
    answer = Candidate("x.shape", EVERYTHING & ~rows(failing), 1.0)
    guards = [guard("flag", range(40)), guard("even", range(0, ROWS, 2))]
    assert decide([answer], guards, EVERYTHING) == (Case("even and flag", UNKNOWN), Case("", "x.shape"))


def test_another_answer_needs_no_more_than_one_guard():
    some = rows(range(40))
    answers = [Candidate("x.shape", EVERYTHING & ~some, 1.0), Candidate("y.shape", some, 1.5)]
    assert decide(answers, [guard("flag", range(40))], EVERYTHING) == (Case("flag", "y.shape"), Case("", "x.shape"))
