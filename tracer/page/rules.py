"""Who said what the operators of a page return: a rule with its evidence, or a run of the operator, and why no rule."""

from __future__ import annotations

from typing import Any

from torch.fx import Node

from passes.node_meta import prediction_of
from passes.operators.verify import Prediction
from passes.rules.book import Rulebook
from passes.rules.show import rule_text
from passes.rules.why import answering_rule
from tracer.interpret.evaluator import EVALUATOR


class Rules:
    """Collects the rules that a page shows. `texts` has each of them once, as a function with its evidence."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self._numbers: dict[str, int] = {}

    def who_told(self, node: Node) -> dict[str, Any] | None:
        """In `words` who said what the call returns, and the number of the rule's text, if there is one."""
        prediction = prediction_of(node)
        if prediction is None:
            return None
        trial = prediction.outcome.trial
        if trial is None:
            return self._rule(prediction)
        kind = "a run on fake tensors" if trial.fake else "a run on small real tensors"
        return {"words": f"{kind}: {trial.reason}", "rule": None}

    def _rule(self, prediction: Prediction) -> dict[str, Any]:
        book = EVALUATOR.book
        if book is None:
            return {"words": "a rule", "rule": None}
        call = prediction.target, prediction.args, prediction.kwargs
        rule = answering_rule(book, *call, prediction.modes) if isinstance(book, Rulebook) else None
        if rule is None:  # one that was asked about another call, of which this one is made
            return {"words": f"the rules of {book.why_not(*call, prediction.modes).op}", "rule": None}
        text = rule_text(rule)
        number = self._numbers.setdefault(text, len(self.texts))
        if number == len(self.texts):
            self.texts.append(text)
        return {"words": f"the rule of {rule.op}", "rule": number}
