"""`python -m tests.installed`: an sdist, its wheel in a new virtual environment, and what a new user tries first there.

The environment, build/installed, has torch and our ordinary dependencies, as links to the packages that run this, and
no other package: what needs one that is not declared fails. Nothing is downloaded.
"""

from __future__ import annotations

import importlib.metadata
import re
import shutil
import subprocess
import sys
import tomllib
import venv
from collections.abc import Iterator
from pathlib import Path

from packaging.requirements import Requirement

ROOT = Path(__file__).parents[1]
PLACE = ROOT / "build" / "installed"
COPIED = (
    *("tracer", "passes", "backends", "bytegraph.py", "setup.py", "pyproject.toml", "MANIFEST.in"),
    *("README.md", "LICENSE", "CHANGELOG.md"),
)
BUILD = ("setuptools", "wheel", "packaging", "build")

SCRIPT = """
import bytegraph, torch
import backends.mine

@bytegraph.capture
def step(x):
    return x.relu() + backends.mine.ONE

print(step(torch.ones(2)).tolist(), bytegraph.__version__, bytegraph.TensorMeta.__name__)
"""

TRIES = (
    ("bytegraph", "--version"),
    ("bytegraph", "explain", "script.py"),
    ("bytegraph", "graph", "script.py"),
    ("bytegraph", "report", "script.py"),
    ("bytegraph", "why", "str.join"),
    ("bytegraph", "backends"),
    ("python", "-m", "bytegraph", "check", "script.py:step_of_one"),
    ("python", "-m", "tracer", "rules", "--help"),
    ("python", "-W", "error", "script.py"),
)
"""Command lines that must end with status 0, in a folder with a script and a package `backends` of its own."""


def declared() -> list[str]:
    """The ordinary dependencies in pyproject.toml."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    return [Requirement(line).name for line in project["dependencies"]]


def distributions(names: list[str]) -> Iterator[importlib.metadata.Distribution]:
    """Distributions that are installed here: these, and what they need."""
    waiting, seen = list(names), set()
    while waiting:
        name = re.sub(r"[-_.]+", "-", waiting.pop()).lower()
        if name in seen:
            continue
        seen.add(name)
        try:
            distribution = importlib.metadata.distribution(name)
        except importlib.metadata.PackageNotFoundError:  # of another platform
            continue
        yield distribution
        needs = map(Requirement, distribution.requires or ())
        waiting += [need.name for need in needs if need.marker is None or need.marker.evaluate({"extra": ""})]


def link(folder: Path) -> None:
    """Fill a folder with links to the ordinary dependencies and the tools that build."""
    folder.mkdir()
    for distribution in distributions([*declared(), *BUILD]):
        for top in {file.parts[0] for file in distribution.files or ()} - {"..", "__pycache__"}:
            target = folder / top
            if not target.is_symlink():
                target.symlink_to(str(distribution.locate_file(top)))


def main() -> None:
    """Install, try each command line, and exit with its status and output where one fails."""
    shutil.rmtree(PLACE, ignore_errors=True)
    tree, environment, project = PLACE / "tree", PLACE / "venv", PLACE / "project"
    tree.mkdir(parents=True)
    for name in COPIED:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, tree / name, ignore=shutil.ignore_patterns("*.so", "__pycache__"))
        else:
            shutil.copy(ROOT / name, tree / name)
    venv.create(environment, with_pip=True)
    link(PLACE / "packages")
    site = environment / "lib" / f"python{sys.version_info[0]}.{sys.version_info[1]}" / "site-packages"
    (site / "packages.pth").write_text(f"{PLACE / 'packages'}\n")
    pip = [environment / "bin" / "python", "-m", "pip", "--disable-pip-version-check"]
    run([*pip, "uninstall", "--yes", "setuptools"], tree)  # that of Python 3.11, which hides the linked one
    run([environment / "bin" / "python", "-m", "build", "--no-isolation"], tree)
    run([*pip, "install", "--no-index", wheel_in(tree / "dist")], tree)
    (project / "backends").mkdir(parents=True)
    (project / "backends" / "mine.py").write_text("ONE = 1\n")
    (project / "script.py").write_text(f"{SCRIPT}\ndef step_of_one():\n    return step(torch.ones(1))\n")
    for words in TRIES:
        run([environment / "bin" / words[0], *words[1:]], project)


def wheel_in(folder: Path) -> Path:
    """The wheel that was built beside an sdist. Exits where one is missing, or has another name than it should."""
    python = sys.implementation.cache_tag.replace("cpython-", "cp")
    name = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["name"]
    (sdist,) = folder.glob(f"{name}-*.tar.gz")
    wheels = list(folder.glob(f"{sdist.name.removesuffix('.tar.gz')}-{python}-{python}-*.whl"))
    if len(wheels) != 1:
        sys.exit(f"no wheel for {python} among {sorted(path.name for path in folder.iterdir())}")
    return wheels[0]


def run(command: list[str | Path], folder: Path) -> None:
    """Run a command, and end this process with its output if it fails."""
    words = [str(word) for word in command]
    print("$", *words, flush=True)
    ended = subprocess.run(words, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if ended.returncode:
        sys.exit(f"{ended.stdout}\nstatus {ended.returncode}")


if __name__ == "__main__":
    main()
