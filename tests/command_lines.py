"""Whether a command line that a page shows names what there is: targets, commands, options, files.

`problem(line)` answers for one line, without running it.
"""

import contextlib
import functools
import io
import re
import shlex
import sys
from pathlib import Path
from typing import Any

import typer

from benchmarks.__main__ import arguments
from tracer.commands.application import application
from tracer.commands.programs import ProgramCommand

ROOT = Path(__file__).parent.parent

# Commands of the system and of tools, whose words are not ours to check.
OTHERS = {
    "pip",
    "git",
    "cd",
    "source",
    "apt-get",
    "ruff",
    "pyright",
    "pre-commit",
    "export",
    "python3.11",
    "gdb",
    "cat",
}


@functools.cache
def makefile() -> tuple[set[str], set[str]]:
    """The targets and the variables that the Makefile has."""
    text = (ROOT / "Makefile").read_text()
    targets = re.findall(r"^([a-z][\w -]*):(?!=)", text, re.MULTILINE)
    return set(" ".join(targets).split()), set(re.findall(r"^([A-Z_]+) *[?:]?=", text, re.MULTILINE))


def problem(line: str) -> str:
    """What is wrong with a command line, or ""."""
    for part in re.split(r" (?:\|\|?|&&|;) ", line):
        words = shlex.split(part, comments=True)
        while words and re.fullmatch(r"[A-Z_]+=.*", words[0]):
            words = words[1:]
        if not words:
            continue
        name = words[0].removeprefix(".venv/bin/")
        if name == "make":
            wrong = _make(words[1:])
        elif name == "python":
            wrong = _python(words[1:])
        elif name == "pytest":
            wrong = _pytest(words[1:])
        else:
            wrong = "" if name in OTHERS else f"no way to check {name!r}: see tests/command_lines.py"
        if wrong:
            return wrong
    return ""


def _make(words: list[str]) -> str:
    targets, variables = makefile()
    for word in words:
        name, equals, _ = word.partition("=")
        if name not in (variables if equals else targets) and not word.startswith("-"):
            return f"the Makefile has no {'variable' if equals else 'target'} {name}"
    return ""


def _python(words: list[str]) -> str:
    while words and words[0].startswith("-") and words[0] not in ("-m", "-c"):
        words = words[1:]
    if words[:1] == ["-m"] and len(words) > 1:
        if words[1] == "tracer":
            return _tracer(words[2:])
        if words[1] == "benchmarks":
            return _benchmarks(words[2:])
        if words[1] == "pytest":
            return _pytest(words[2:])
        path = ROOT / words[1].replace(".", "/")
        foreign = words[1].split(".")[0] in sys.stdlib_module_names | {"pip", "build"}
        return "" if foreign or path.is_dir() or path.with_suffix(".py").exists() else f"there is no module {words[1]}"
    if words[:1] == ["setup.py"] or "/" in words[0]:
        return "" if (ROOT / words[0]).exists() else f"there is no {words[0]}"
    return ""


def _tracer(words: list[str]) -> str:
    """Subcommands and options, up to the words that belong to somebody's program."""
    command, path = typer.main.get_command(application), "python -m tracer"
    for place, word in enumerate(words):
        commands = getattr(command, "commands", {})
        if path.endswith(" record") and word not in commands and word != "--help":
            command, commands, path = commands["run"], {}, f"{path} run"  # `run` may be left out
        if word.startswith("-") and word != "-":
            if word == "--":
                return ""
            if word.partition("=")[0] not in _options(command):
                return f"{path} has no option {word}"
        elif word in commands:
            command, path = commands[word], f"{path} {word}"
        elif commands:
            return f"{path} has no command {word}"
        elif ".py:" in word:
            return ""
        elif word.endswith(".py"):
            if isinstance(command, ProgramCommand):  # its options may stand behind the script, too
                return ""
            late = [other for other in words[place + 1 :] if other.partition("=")[0] in _options(command)]
            return f"{path} takes {late[0]} in front of {word}: behind it, it is the script's" if late else ""
    return ""


def _options(command: Any) -> set[str]:
    """The options of a command."""
    return {"--help", *(option for one in command.params for option in (*one.opts, *one.secondary_opts))}


def _benchmarks(words: list[str]) -> str:
    errors = io.StringIO()
    with contextlib.redirect_stderr(errors), contextlib.redirect_stdout(io.StringIO()):
        try:
            arguments(words)
        except SystemExit as end:
            return errors.getvalue().splitlines()[-1] if end.code else ""
    return ""


def _pytest(words: list[str]) -> str:
    for word in words:
        path, _, test = word.partition("::")
        if path.startswith("tests/"):
            if not (ROOT / path).exists():
                return f"there is no {path}"
            name = test.partition("[")[0]
            if name and f"def {name}(" not in (ROOT / path).read_text():
                return f"{path} has no {name}"
    return ""
