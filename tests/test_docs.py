"""README.md, CONTRIBUTING.md and docs/: their programs run, their commands exist, their links lead somewhere.

What a page shows is checked like this:

- The ```python blocks of docs/debugging.md, docs/recipes.md and each page of docs/howto run from top to bottom as one
  program, in a process of its own. A ```text block right after one is compared with what that block printed;
  `pytest --update-snapshots` writes it.
- In a ```console block each line `$ command` is a command line. If output follows it, it is run in the project's folder
  and its output compared; if none follows, it is checked that its targets, commands, options and files exist.
- A line `...` in a text or console block stands for any lines. Durations and addresses are not compared.
- Command lines in `code` and in indented blocks are checked like commands without output.
- The parts between `<!-- name -->` and `<!-- end of name -->` are written by `make pages`, and compared in
  tests/test_snapshots.py.
"""

import functools
import json
import os
import re
import subprocess
import sys

import pytest

import bytegraph
from benchmarks.pages import PAGES as PARTS
from benchmarks.pages import write
from tests.command_lines import problem
from tests.documents import GUIDES, PAGES, ROOT, agrees, blocks, programs, prose, with_outputs
from tests.printed import normalized


def name_of(path):
    return str(path.relative_to(ROOT))


def run(*command, cwd):
    """What a command prints, its errors among it. A command that fails fails the test."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PATH": f"{ROOT / '.venv/bin'}:{os.environ['PATH']}"}
    process = subprocess.run(
        command, cwd=cwd, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    assert process.returncode == 0, process.stdout
    return process.stdout


def assert_shown(place, shown, printed):
    shown, printed = normalized(shown), normalized(printed)
    assert agrees(shown, printed), f"{place} shows\n{shown}\nbut this was printed:\n{printed}"


@pytest.mark.parametrize("path", GUIDES, ids=name_of)
def test_programs_of_a_guide_print_what_it_shows(path, tmp_path, request):
    """After a change: pytest --update-snapshots."""
    page, report = path.read_text(), tmp_path / "outputs.json"
    run(sys.executable, "-m", "tests.documents", path, report, cwd=tmp_path)
    outputs = json.loads(report.read_text())
    if request.config.getoption("--update-snapshots"):
        path.write_text(with_outputs(page, outputs))
    for block, output in zip(programs(path.read_text()), outputs, strict=True):
        if block.next is not None and block.next.language == "text":
            assert_shown(f"{name_of(path)}:{block.next.line}", block.next.text, output)


def test_no_text_of_the_tree_names_the_folder_of_this_checkout():
    written = [*PAGES, *(ROOT / "tests" / "snapshots").iterdir(), *(ROOT / "tests" / "pins").rglob("*.json")]
    wrong = [name_of(path) for path in written if str(ROOT) in path.read_text()]
    assert not wrong


def test_outputs_are_written_with_the_files_of_the_checkout_named_from_its_root():
    page = "```python\nprint()\n```\n```text\nold\n```\n"
    assert with_outputs(page, [f"{ROOT}/tracer/api.py:1\n"]) == page.replace("old", "tracer/api.py:1")
    with pytest.raises(ValueError, match="path of this checkout"):
        with_outputs(page, [f"the folder {ROOT}\n"])


@pytest.mark.parametrize(
    ("text", "shown"), [(f"{ROOT}/README.md, 3 ms\n", "README.md, <time>\n"), (f"in {ROOT}", None)]
)
def test_printed_text_is_compared_without_the_folder_of_this_checkout(text, shown):
    if shown is None:
        with pytest.raises(ValueError, match="path of this checkout would be written"):
            normalized(text)
    else:
        assert normalized(text) == shown


def test_a_page_that_would_name_the_folder_of_this_checkout_is_not_written(monkeypatch):
    monkeypatch.setitem(PARTS, "README.md", {"example": lambda page: f"{ROOT}\n"})
    before = (ROOT / "README.md").read_text()
    with pytest.raises(ValueError, match=r"README.md would name .* a folder of this machine"):
        write("README.md")
    assert (ROOT / "README.md").read_text() == before


def consoles():
    """Every command line of the console blocks: where it stands, the command, and the output shown below it."""
    for path in PAGES:
        for block in blocks(path.read_text()):
            if block.language == "console":
                lines = block.text.splitlines()
                starts = [number for number, line in enumerate(lines) if line.startswith("$ ")]
                assert starts[:1] == [0], f"{name_of(path)}:{block.line} begins with no `$ command`"
                for start, end in zip(starts, [*starts[1:], len(lines)], strict=True):
                    place = f"{name_of(path)}:{block.line + 1 + start}"
                    yield place, lines[start][2:], "\n".join(lines[start + 1 : end]).strip()


SHOWN = [pytest.param(*console, id=f"{console[0]}-{console[1]}") for console in consoles() if console[2]]


@pytest.mark.parametrize(("place", "command", "shown"), SHOWN)
def test_command_prints_what_is_shown(place, command, shown):
    assert_shown(place, shown, run("bash", "-c", command, cwd=ROOT))


INDENTED = re.compile(r"^ {4,}(make .*|python -m .*)$", re.MULTILINE)
INLINE = re.compile(r"`((?:make|python -m|pytest|\.venv/bin/python) [^`]*)`")


def command_lines():
    for place, command, _ in consoles():
        yield place, command
    for path in PAGES:
        text = prose(path.read_text())
        for pattern in (INDENTED, INLINE):
            for match in pattern.finditer(text):
                line = text.count("\n", 0, match.start(1)) + 1
                command = re.split(r"\s{2,}#?", " ".join(match[1].split("\n")) if pattern is INLINE else match[1])[0]
                yield f"{name_of(path)}:{line}", command


def test_commands_exist():
    wrong = [f"{place}: {command}: {problem(command)}" for place, command in command_lines() if problem(command)]
    assert not wrong, "\n".join(wrong)


def test_commands_of_pre_commit_exist():
    entries = re.findall(r"entry: (.*)", (ROOT / ".pre-commit-config.yaml").read_text())
    assert entries and not [problem(entry) for entry in entries if problem(entry)]


MARKER = re.compile(r"^<!-- (.*) -->$", re.MULTILINE)


def test_printed_parts_are_those_that_make_pages_writes():
    for path in PAGES:
        markers = MARKER.findall(path.read_text())
        assert markers[1::2] == [f"end of {name}" for name in markers[::2]], name_of(path)
        assert set(markers[::2]) == set(PARTS.get(name_of(path), ())), name_of(path)


LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")


@functools.cache
def anchors(path):
    """The anchors of a page: its headings as GitHub spells them."""
    headings = re.findall(r"^#+ +(.*)$", prose(path.read_text()), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading).strip().lower().replace(" ", "-") for heading in headings}


def test_links_lead_to_pages_and_headings():
    wrong = []
    for path in PAGES:
        for target in LINK.findall(prose(path.read_text())):
            if target.startswith(("http://", "https://", "mailto:")):
                continue
            file, _, anchor = target.partition("#")
            page = (path.parent / file).resolve() if file else path
            if not page.exists() or (anchor and anchor not in anchors(page)):
                wrong.append(f"{name_of(path)}: {target}")
    assert not wrong, "\n".join(wrong)


def linked_from(path):
    """The pages that a page links to."""
    targets = [target.partition("#")[0] for target in LINK.findall(prose(path.read_text()))]
    return {(path.parent / target).resolve() for target in targets if target.endswith(".md")} & set(PAGES)


def test_every_page_is_two_links_from_the_readme():
    readme = ROOT / "README.md"
    reached = {readme} | linked_from(readme)
    reached |= {page for path in reached for page in linked_from(path)}
    assert not set(PAGES) - reached


def test_the_architecture_names_every_file_and_folder_at_the_top_of_a_package():
    text = (ROOT / "docs" / "architecture.md").read_text()
    paths = [
        path
        for package in ("tracer", "passes", "backends")
        for path in (ROOT / package).iterdir()
        if (path.suffix == ".py" and path.name != "__init__.py") or (path / "__init__.py").exists()
    ]
    assert [name_of(path) for path in paths if not re.search(rf"\b{path.stem}\b", text)] == []


def test_files_that_the_glossary_names_use_its_words():
    page = prose((ROOT / "docs" / "glossary.md").read_text())
    entries = re.findall(r"^- \*\*(.+?)\*\*(.*?)(?=^- |^#|\Z)", page, re.MULTILINE | re.DOTALL)
    wrong = []
    for term, text in entries:
        files = [ROOT / path for path in re.findall(r"`([\w/]+\.(?:py|h|cpp))`", text)]
        if not any(re.search(rf"\b{term}", file.read_text(), re.IGNORECASE) for file in files):
            wrong.append(term)
    assert len(entries) > 40 and not wrong


def test_the_reference_has_every_public_name(tmp_path):
    from benchmarks.reference import write

    text = write(tmp_path).read_text()
    missing = [name for name in bytegraph.__all__ if f'id="{name}"' not in text]
    assert not missing
