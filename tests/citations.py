"""What the texts of this tree cite of it: paths of files and folders, and dotted names of modules.

A text is a page, a source file or a notebook. `missing(path)` gives the citations in it that lead nowhere. A path in
capital letters (`BOOK/book.json`) begins with a name for any folder.
"""

import ast
import fnmatch
import functools
import io
import os
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parent.parent
FOLDERS = ("tracer", "passes", "backends", "tests", "benchmarks", "notebooks", "docs")
SUFFIXES = {".py", ".cpp", ".h", ".md", ".ipynb", ".toml", ".yaml"}

# Paths that are there only after a command wrote them.
WRITTEN = ("benchmarks/results",)
# Programs of examples, and files that users write.
EXAMPLES = ("example.py", "script.py", "passes.py")
# What users have in folders that are named like ours.
OF_USERS = ("backends/mine.py", "backends.mine", "backends.HERE")
# Pages that name files of other libraries, without folders.
OF_LIBRARIES = ("docs/zoo.md",)
# How the paths of others begin: torch's, CPython's, and those of the programs of examples.
FOREIGN = ("torch/", "aten/", "ATen/", "c10/", "Objects/", "Lib/", "Python/", "internal/", "transformers/")

_ANY = "|".join(FOLDERS)
_FILE = re.compile(r"(?<![\w./<>{}-])((?:\w[\w*.-]*/)+[\w*.-]+\.(?:py|cpp|h|md|ipynb|json|toml|txt|yaml))\b")
_FOLDER = re.compile(rf"(?<![\w./*<>{{}}-])((?:{_ANY})/(?:[\w*-]+/)*[\w*-]*)(?![\w*.-])")
_BARE = re.compile(r"(?<![\w./*<>{}-])([\w-]+\.(?:py|cpp|h|md|ipynb|toml))\b(?![/.])")
_PAGE = re.compile(r"(?<![\w./*<>{}-])([\w-]+\.md)\b(?![/.])")
_NAME = re.compile(rf"(?<![\w./-])((?:{_ANY})(?:\.[A-Za-z_]\w*)+)(?![\w/])")


@functools.cache
def paths() -> frozenset[str]:
    """Every file and folder of the packages, the tests and the documentation, relative to the root of the tree."""
    result: set[str] = set()
    for folder in FOLDERS:
        for parent, children, names in os.walk(ROOT / folder):
            children[:] = [child for child in children if child != "__pycache__"]
            place = Path(parent).relative_to(ROOT)
            result.update((str(place), *(str(place / name) for name in names)))
    return frozenset(result)


def texts() -> list[Path]:
    """The files whose citations are checked. The changelog names what was."""
    inside = [ROOT / path for path in paths() if Path(path).suffix in SUFFIXES]
    outside = [path for path in ROOT.iterdir() if path.suffix in SUFFIXES or path.name == "Makefile"]
    return sorted({*inside, *outside, *(ROOT / ".ci").iterdir()} - {ROOT / "CHANGELOG.md"})


def missing(path: Path) -> Iterator[tuple[int, str]]:
    """Each citation in a file that leads nowhere, and its line.

    In Python sources, dotted names count in comments and strings only. Names of files without a folder count in pages;
    elsewhere only those of pages do, since programs of tests have files of their own.
    """
    text = path.read_text()
    words = _comments_and_strings(text) if path.suffix == ".py" else text
    names_others = str(path.relative_to(ROOT)) in OF_LIBRARIES
    kinds = (
        (_FILE, _is_path, text),
        (_FOLDER, _is_path, text),
        (_NAME, _is_name, words),
        (_BARE if path.suffix == ".md" and not names_others else _PAGE, _is_file, words),
    )
    for pattern, exists, text in kinds:
        for match in pattern.finditer(text):
            if not exists(match[1]):
                yield text.count("\n", 0, match.start()) + 1, match[1]


def _comments_and_strings(source: str) -> str:
    """A Python source with everything else blanked out; lines keep their numbers."""
    lines = [""] * (source.count("\n") + 2)
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type in (tokenize.COMMENT, tokenize.STRING):
            for number, line in enumerate(token.string.split("\n"), token.start[0] - 1):
                lines[number] += f" {line}"
    return "\n".join(lines)


@functools.cache
def _is_path(path: str) -> bool:
    """Whether this is a path of the tree, or the end of one; `*` stands for anything."""
    path = path.rstrip("/")
    first = path.split("/")[0]
    if first.isupper() or path.startswith((*FOREIGN, *WRITTEN)) or path in {*paths(), *OF_USERS}:
        return True
    ends = [f"*/{path}"] if first not in FOLDERS else [path]
    return any(fnmatch.fnmatchcase(file, end) for file in paths() for end in ends)


@functools.cache
def _is_file(name: str) -> bool:
    """Whether some file has this name; a name in capital letters is that of any file."""
    everything = {path.rsplit("/")[-1] for path in paths()} | {path.name for path in ROOT.iterdir()} | {*EXAMPLES}
    return name in everything or (name.split(".")[0].isupper() and not name.endswith(".md"))


@functools.cache
def _is_name(name: str) -> bool:
    """Whether a dotted name is a module, or a name that a module binds, whatever follows it."""
    parts = name.split(".")
    if f".{parts[-1]}" in SUFFIXES or ".".join(parts[:2]) in OF_USERS:
        return True  # the name of a file, or of a module of a user's
    for length in range(len(parts), 0, -1):
        path = "/".join(parts[:length])
        module = next((file for file in (f"{path}.py", f"{path}/__init__.py") if file in paths()), None)
        if module is not None or path in paths() or any(file.startswith(path + ".cpython") for file in paths()):
            return length == len(parts) or module is None or parts[length] in _bound(module)
    return False


@functools.cache
def _bound(module: str) -> frozenset[str]:
    """The names that the statements of a module bind, in `if` and `try` too."""
    names = {"__file__"}
    for node in ast.walk(ast.parse((ROOT / module).read_text())):
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            names.add(node.name)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names.add(node.id)
        elif isinstance(node, ast.alias):
            names.add((node.asname or node.name).split(".")[0])
    return frozenset(names)
