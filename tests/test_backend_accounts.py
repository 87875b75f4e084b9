"""What a backend did with a graph, as explanations and the report page say it."""

import pytest
import torch
from torch._logging._internal import trace_log

from tests.test_report_page import BROWSER, browse, facts_of
from tracer import capture, explain


def product(x, w):
    return (x @ w).relu().sum()


def inputs():
    return torch.ones(4, 4), torch.ones(4, 4, requires_grad=True)


def account_of(explanation):
    [entry] = explanation.entries
    account = explanation.accounts.of(entry.compiled)
    assert account is not None
    return account


def test_aot_eager_tells_its_forward_and_backward_graph():
    explanation = explain(capture(product, backend="aot_eager"), *inputs())
    account = account_of(explanation)
    assert account.backend == "aot_eager"
    assert [line.partition(":")[0] for line in account.lines] == ["forward graph", "backward graph"]
    assert "torch.ops.aten.mm.default" in account.parts[0].text
    assert "backend aot_eager\n  forward graph: " in str(explanation)


def test_aot_eager_tells_its_graph_for_inference():
    with torch.no_grad():
        account = account_of(explain(capture(product, backend="aot_eager"), *inputs()))
    assert [line.partition(":")[0] for line in account.lines] == ["inference graph"]


def test_inductor_tells_the_kernels_and_files_that_it_generates():
    with torch.no_grad():
        account = account_of(explain(capture(product, backend="inductor"), *inputs()))
    [code] = [part for part in account.parts if part.title.startswith("generated code")]
    assert "1 kernel" in code.title and "calls of mm" in code.title and code.title.endswith(".py")
    assert "async_compile" in code.text


def test_eager_says_that_it_replays():
    assert account_of(explain(product, *inputs())).lines == [
        "replays the graph as one Python function, operator by operator"
    ]


def test_a_backend_of_the_users_says_what_its_callable_has_to_say():
    def counting(module, example_inputs):
        def run(*args):
            run.calls += 1
            return module.forward(*args)

        run.calls = 0
        run.backend_report = lambda: [f"ran {run.calls} times", f"{len(example_inputs)} inputs"]
        return run

    captured = capture(product, backend=counting)
    explanation = explain(captured, *inputs())
    assert account_of(explanation).lines == ["ran 1 times", "2 inputs"]
    captured(*inputs())
    assert account_of(explanation).lines == ["ran 2 times", "2 inputs"], "asked when the report is read"
    [entry] = facts_of(explanation)["entries"]
    assert entry["backend"] == {"name": "counting", "lines": ["ran 2 times", "2 inputs"], "parts": []}


def test_graphs_compiled_before_have_no_account():
    captured = capture(product, backend="aot_eager")
    captured(*inputs())
    [entry] = facts_of(explain(captured, *inputs()))["entries"]
    assert entry["backend"] is None


def test_nothing_is_kept_when_no_report_is_made():
    handlers = list(trace_log.handlers)
    explain(capture(product, backend="aot_eager"), *inputs())
    assert [handler for handler in trace_log.handlers if handler not in handlers] == []


def test_a_report_within_a_report_keeps_the_accounts_of_both():
    inner = []

    def outer(x, w):
        inner.append(explain(product, x, w))
        return x + 1

    explanation = explain(outer, *inputs())
    assert account_of(inner[0]).backend == "eager"
    assert {account.backend for account in explanation.accounts.graphs} == {"eager"}


@pytest.mark.skipif(BROWSER is None, reason="no chromium is installed to open the page in")
def test_browser_shows_graphs_and_code_of_the_backend(tmp_path):
    page = explain(capture(product, backend="aot_eager"), *inputs()).to_html()
    unfold = "document.querySelectorAll('main details').forEach((each) => { each.open = true; });"
    shown = browse(page, tmp_path, "#capture-0/backend", unfold)
    assert "forward graph: " in shown and "backward graph: " in shown and "torch.ops.aten.mm.default" in shown
