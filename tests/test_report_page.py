"""The report page: its data, and what a browser makes of it."""

import html
import json
import os
import re
import shutil
import subprocess

import pytest
import torch
from torch import nn

from tests.rulebooks import needs_book
from tracer import capture, explain
from tracer.commands.application import main
from tracer.page.facts import page_facts

NAMES = () if os.environ.get("NO_BROWSER") else ("chromium", "chromium-browser", "google-chrome")
BROWSER = next(filter(None, map(shutil.which, NAMES)), None)


class Block(nn.Module):
    def __init__(self, size):
        super().__init__()
        self.first, self.second = nn.Linear(size, size), nn.Linear(size, size)

    def forward(self, x):
        return x + self.second(torch.relu(self.first(x)))


class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(*(Block(4) for _ in range(4)))
        self.calls = 0

    def forward(self, x):
        self.calls += 1
        x = self.layers(x)
        if x.sum() > 1e6:
            x = x * 2
        return x.tanh()


def explained():
    model = Model()

    def step(x):
        return model(x)

    return explain(step, torch.ones(2, 4))


@pytest.fixture(scope="module")
def explanation():
    return explained()


def facts_of(explanation):
    return json.loads(json.dumps(page_facts("a page", explanation.entries, explanation.events, explanation.accounts)))


def graph_capture(facts):
    return next(capture for capture in facts["entries"] if capture["graph"] and len(capture["graph"]["nodes"]) > 10)


def text_of(facts, place):
    return facts["files"][place[0]]["lines"][str(place[1])].strip()


@needs_book
def test_operators_have_their_module_line_meta_and_who_told_it(explanation):
    facts = facts_of(explanation)
    nodes = {node["name"]: node for node in graph_capture(facts)["graph"]["nodes"]}
    relu = nodes["relu_2"]
    assert relu["module"].endswith("layers[2]") and nodes["linear_4"]["module"].endswith("layers[2].first")
    assert text_of(facts, relu["line"]) == "return x + self.second(torch.relu(self.first(x)))"
    assert relu["meta"] == "f32[2, 4] stride (4, 1)"
    assert relu["told"]["words"].startswith("the rule of ")
    rule = facts["rules"][relu["told"]["rule"]]
    assert "calls fitted" in rule and "shape = self.shape" in rule
    names = list(nodes)
    assert [names[used] for used in relu["inputs"]] == ["linear_4"]


def test_parts_of_a_result_belong_to_the_module_that_made_it():
    class Halves(nn.Module):
        def forward(self, x):
            left, right = x.chunk(2)
            return left + right

    model = nn.Sequential(Halves())
    facts = facts_of(explain(model, torch.ones(4)))
    nodes = [node for capture in facts["entries"] for node in (capture["graph"] or {"nodes": []})["nodes"]]
    assert {node["module"] for node in nodes if node["operator"] == "getitem"} == {"self[0]"}


def test_memory_is_what_is_alive_at_each_operator():
    def f(x):
        y = x.exp()
        z = y.sum()
        return z * 2

    [capture] = facts_of(explain(f, torch.ones(8)))["entries"]
    memory = capture["graph"]["memory"]
    by_name = dict(zip((node["name"] for node in capture["graph"]["nodes"]), memory["alive"], strict=True))
    assert memory["given"] == 32
    assert (by_name["exp"], by_name["sum_1"], by_name["mul"]) == (32, 36, 8)


def test_functions_stand_in_the_tree_where_they_were_called(explanation):
    [outer] = facts_of(explanation)["tree"]
    while outer["inner"] and not outer["name"].endswith("step"):
        [outer] = outer["inner"]
    assert outer["entries"], "the captures of step"
    assert [inner["name"] for inner in outer["inner"]] == ["Model.forward"]
    assert len(outer["inner"][0]["entries"]) == 2, "the capture of forward and what follows its break"


def test_breaks_stand_at_the_line_that_caused_them(explanation):
    facts = facts_of(explanation)
    causes = {text_of(facts, broke["cause"]) for broke in facts["breaks"]}
    assert causes == {"if x.sum() > 1e6:"}
    assert all(broke["calls"] >= len(broke["entries"]) and broke["remedies"] for broke in facts["breaks"])


def test_lines_of_the_program_lead_to_the_lines_that_they_stand_for(explanation):
    facts = facts_of(explanation)
    capture = graph_capture(facts)
    assert len(capture["links"]) == len(capture["program"])
    texts = dict(zip(capture["program"], capture["links"], strict=True))
    [effect] = [links for line, links in texts.items() if ".calls" in line or "'calls'" in line]
    assert [text_of(facts, place) for place in effect] == ["self.calls += 1"]
    [branch] = [links for line, links in texts.items() if "natively" in line]
    assert [text_of(facts, place) for place in branch] == ["if x.sum() > 1e6:"]
    [graph] = [links for line, links in texts.items() if "graph(" in line]
    assert "return x + self.second(torch.relu(self.first(x)))" in {text_of(facts, place) for place in graph}


def test_what_was_captured_again_says_what_was_different():
    def f(x):
        return x + 1

    captured = capture(f, dynamic=False)
    captured(torch.ones(3))
    captured(torch.ones(4))
    facts = facts_of(explain(captured, torch.ones(4)))
    assert [again["why"] for again in facts["recaptures"]] == [[["x: size(0) is 4", "with 3"]]]


def test_text_of_the_program_is_never_markup():
    def f(x):
        return x + len("</script><script>document.title = 'run'</script>&amp;")

    page = explain(f, torch.ones(2)).to_html()
    assert page.count("</script>") == page.count("<script"), "none but the page's own"
    data = json.loads(re.search(r'<script id="data" type="application/json">(.*?)</script>', page, re.DOTALL)[1])
    assert any("</script>" in line for file in data["files"] for line in file["lines"].values())


def test_page_refers_to_nothing_outside_of_itself(explanation):
    page = re.sub(r'<script id="data".*?</script>', "", explanation.to_html(), flags=re.DOTALL)
    addresses = re.findall(r"""(?:src|href)\s*=\s*["']([^"']*)|url\(([^)]*)|@import""", page)
    assert {one or other for one, other in addresses} <= {"data:,", "#overview"}
    assert "fetch(" not in page and "XMLHttpRequest" not in page


def test_notebooks_show_the_page_in_a_frame(explanation):
    shown = explanation._repr_html_()
    assert html.unescape(re.search(r'srcdoc="([^"]*)"', shown)[1]) == explanation.to_html()


def test_command_writes_the_page_and_exits_as_the_program_does(tmp_path, capsys):
    (tmp_path / "program.py").write_text(
        "import sys, torch\nfrom tracer import capture\ncapture(lambda x: x + 1)(torch.ones(2))\nsys.exit(3)\n"
    )
    page = tmp_path / "out" / "page.html"
    assert main(["report", "-o", str(page), str(tmp_path / "program.py")]) == 3
    assert "1 captures, 1 graphs" in capsys.readouterr().out
    facts = json.loads(re.search(r'type="application/json">(.*?)</script>', page.read_text(), re.DOTALL)[1])
    assert [branch["name"] for branch in facts["tree"]] == ["<module>"], "nothing of ours is below the program"


# In a browser ----------------------------------------------------------------------------------------

TOLD = """
<script>
window.addEventListener("error", (event) => document.body.setAttribute("data-error", event.message));
</script>
"""


def browse(page, folder, address="", script="", width=1280):
    """The page's elements as text after a browser has opened it at an address and run a script in it."""
    file = folder / "page.html"
    file.write_text(page.replace("<body>", f"<body>{TOLD}").replace("</body>", f"<script>{script}</script></body>"))
    options = [
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--virtual-time-budget=2000",
        f"--window-size={width},900",
    ]
    command = [BROWSER, *options, f"--user-data-dir={folder / 'profile'}", "--dump-dom", f"{file.as_uri()}{address}"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert "data-error" not in done.stdout.partition("<script")[0], done.stdout[:500]
    return html.unescape(re.sub(r"<script.*?</script>", "", done.stdout, flags=re.DOTALL))


needs_browser = pytest.mark.skipif(BROWSER is None, reason="no chromium is installed to open the page in")


@needs_browser
def test_browser_shows_numbers_breaks_and_captures(explanation, tmp_path):
    shown = browse(explanation.to_html(title="of step"), tmp_path)
    assert "of step" in shown and "data-dependent-jump" in shown and "if x.sum() > 1e6:" in shown
    assert f"{explanation.ops} operators" in shown


@needs_browser
def test_browser_folds_the_graph_by_module_and_by_repetition_and_opens_it(explanation, tmp_path):
    page = explanation.to_html()
    at = next(index for index, entry in enumerate(explanation.entries) if entry.ops > 5)
    closed = browse(page, tmp_path, f"#capture-{at}/graph", "document.querySelectorAll('main button')[0].click()")
    opened = browse(page, tmp_path, f"#capture-{at}/graph", "document.querySelectorAll('main button')[1].click()")
    first = "document.querySelector('svg g.group').dispatchEvent(new MouseEvent('click'))"
    once = browse(
        page, tmp_path, f"#capture-{at}/graph", f"document.querySelectorAll('main button')[0].click(); {first}"
    )
    boxes = [text.count('class="box"') for text in (closed, once, opened)]
    assert boxes[0] < boxes[1] < boxes[2], boxes
    assert "4 alike" in closed + once


@needs_browser
def test_browser_follows_a_link_to_an_operator_inside_folded_modules(explanation, tmp_path):
    at = next(index for index, entry in enumerate(explanation.entries) if entry.ops > 5)
    shown = browse(explanation.to_html(), tmp_path, f"#capture-{at}/operators/relu_2")
    assert re.search(r'class="row now" id="operator-relu_2"', shown)
    assert "told by the rule of" in shown


@needs_browser
def test_browser_searches_operators_and_guards(explanation, tmp_path):
    search = "const box = document.getElementById('search'); box.value = '{}'; box.dispatchEvent(new Event('input'));"
    found = browse(explanation.to_html(), tmp_path, "", search.format("RELU_3"))
    assert re.search(r'id="found">.*relu_3 = torch.relu', found, re.DOTALL)
    assert "nothing found" in browse(explanation.to_html(), tmp_path, "", search.format("no such thing"))


@needs_browser
def test_browser_draws_the_memory_at_operators_alone(explanation, tmp_path):
    """Inputs of the graph, which come first and of which a model has many, are no part of the time."""
    at, entry = next((index, entry) for index, entry in enumerate(explanation.entries) if entry.ops > 5)
    shown = browse(explanation.to_html(), tmp_path, f"#capture-{at}/memory")
    [steps] = re.findall(r'class="area" d="([^"]*)"', shown)
    assert steps.count("H") == entry.ops < len(entry.graph.nodes) - 1
    assert f"at operator {entry.ops}<" in shown, "the scale"


@needs_browser
def test_browser_lights_up_the_lines_that_belong_together(explanation, tmp_path):
    at = next(index for index, entry in enumerate(explanation.entries) if entry.ops > 5)
    lines = "[...document.querySelectorAll('.program .text-line')]"
    click = f"{lines}.find((line) => line.textContent.includes('graph(')).click()"
    shown = browse(explanation.to_html(), tmp_path, f"#capture-{at}/program", click)
    lit = re.findall(r'<div class="text-line linked lit">(.*?)</div>', shown)
    assert any("self.second(torch.relu" in line for line in lit) and any("graph(" in line for line in lit)


@needs_browser
@pytest.mark.parametrize("width", [1280, 400])
@pytest.mark.parametrize("part", ["graph", "operators", "program", "guards", "memory", "backend", "times"])
def test_nothing_is_wider_than_the_window(explanation, tmp_path, part, width):
    at = next(index for index, entry in enumerate(explanation.entries) if entry.ops > 5)
    measure = "document.body.setAttribute('data-wide', document.documentElement.scrollWidth - window.innerWidth);"
    shown = browse(explanation.to_html(), tmp_path, f"#capture-{at}/{part}", measure, width)
    assert int(re.search(r'data-wide="(-?\d+)"', shown)[1]) <= 0


def many(calls, *inputs):
    def f(x, values):
        for value in values:
            x = x + value
        for _ in range(calls):
            x = torch.relu(x)
        return x

    return explain(f, torch.ones(2), [torch.ones(2) for _ in range(*inputs)])


@needs_browser
def test_browser_shows_the_first_of_many_guards_and_filters_all(tmp_path):
    page = many(3, 600).to_html()
    rows = "document.querySelectorAll('main tbody tr').length"
    write = f"document.body.setAttribute('data-rows', {rows});"
    guards = int(re.search(r"(\d+) guards", browse(page, tmp_path, "#capture-0/guards"))[1])
    assert guards > 500
    first = browse(page, tmp_path, "#capture-0/guards", write)
    assert 'data-rows="500"' in first and f"show the other {guards - 500}" in first
    rest = browse(
        page, tmp_path, "#capture-0/guards", f"[...document.querySelectorAll('main button')].pop().click(); {write}"
    )
    assert f'data-rows="{guards}"' in rest
    box = "const box = document.querySelector('main input')"
    filtered = f"{box}; box.value = 'values[599]'; box.dispatchEvent(new Event('input'));"
    few = browse(page, tmp_path, "#capture-0/guards", filtered + write)
    assert 0 < int(re.search(r'data-rows="(\d+)"', few)[1]) < 10


@needs_browser
def test_browser_opens_and_searches_five_thousand_operators(tmp_path):
    page = many(5000, 1).to_html()
    assert len(page) < 4_000_000
    shown = browse(page, tmp_path, "#capture-0/operators/relu_4998")
    assert re.search(r'class="row now" id="operator-relu_4998"', shown) and shown.count('class="row') > 5000
    search = (
        "const box = document.getElementById('search'); box.value = 'relu_4999'; box.dispatchEvent(new Event('input'));"
    )
    assert "relu_4999 = torch.relu(relu_4998)" in browse(page, tmp_path, "", search).partition('id="found"')[2]


def test_a_limit_that_was_reached_before_is_reported(tmp_path):
    def f(x, word):
        return x + len(word)

    captured = capture(f, recompile_limit=2)
    for count in range(3):
        captured(torch.ones(2), "w" * count)
    explanation = explain(captured, torch.ones(2), "w")
    assert len(explanation.limits) == 1 and "word changes" in explanation.limits[0]
    [limit] = facts_of(explanation)["limits"]
    assert limit["place"].endswith(f"f, test_report_page.py:{f.__code__.co_firstlineno}") and limit["limit"] == 2
    assert limit["guard"] == "word" and "pass" in limit["hint"]
    if BROWSER is not None:
        assert "Functions that are not captured any more" in browse(explanation.to_html(), tmp_path)
    assert not explain(lambda x: x + 1, torch.ones(2)).limits


def test_guards_of_globals_say_so():
    def f(x):
        return x + len("ab")

    words = [guard["words"] for guard in facts_of(explain(f, torch.ones(2)))["entries"][0]["guards"]]
    assert "the global namespace has no 'len'" in words or "tests.test_report_page has no 'len'" in words
