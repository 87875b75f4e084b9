"""`import bytegraph`, the command `bytegraph`, and packages of the user's with the names of ours.

tests/installed.py tries them in a new virtual environment, with the package that pip builds.
"""

import ast
import importlib
import importlib.util
import os
import subprocess
import sys
import tomllib

import pytest

import bytegraph
import tracer
from tests import installed
from tests.imports import ROOT, imports_of, sources
from tests.test_architecture import is_lazy

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
EXTRAS = {"pyarrow", "duckdb", "matplotlib", "safetensors", "expecttest", "transformers", "torch._inductor"}


def run(code, folder, *options):
    """What a script in a folder of the user's prints; bytegraph is on the path behind that folder."""
    (folder / "script.py").write_text(code)
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(
        [sys.executable, *options, str(folder / "script.py")], env=environment, capture_output=True, text=True
    )


def test_bytegraph_has_the_public_functions_of_all_packages():
    assert {*tracer.__all__, "STANDARD", "TensorMeta", "check_gradients", "save_case"} <= set(bytegraph.__all__)
    assert all(getattr(bytegraph, name) is getattr(tracer, name) for name in tracer.__all__)
    for name, module in bytegraph.WHEN_ASKED_FOR.items():
        assert getattr(bytegraph, name) is getattr(importlib.import_module(module), name)
    assert set(bytegraph.__all__) == {*tracer.__all__, *bytegraph.WHEN_ASKED_FOR} <= set(dir(bytegraph))
    with pytest.raises(AttributeError, match="'bytegraph' has no attribute 'caption'"):
        bytegraph.caption


def test_type_checkers_know_the_names_that_are_imported_when_asked_for():
    """`record` means the same to both."""
    known = names_for_type_checkers(ROOT / "tracer" / "__init__.py")
    assert known == tracer.WHEN_ASKED_FOR
    assert names_for_type_checkers(ROOT / "bytegraph.py") | known == {**bytegraph.WHEN_ASKED_FOR, "*": "tracer"}


def names_for_type_checkers(file):
    """The names that a module imports for type checkers only, by the module that has them."""
    edges = [node for node in ast.walk(ast.parse(file.read_text())) if isinstance(node, ast.If)]
    block = next(node for node in edges if ast.unparse(node.test) == "TYPE_CHECKING")
    return {alias.name: node.module for node in block.body for alias in node.names}


def test_version_is_written_once():
    assert bytegraph.__version__ == tracer.__version__
    assert "version" not in PROJECT["project"] and PROJECT["project"]["dynamic"] == ["version"]
    assert PROJECT["tool"]["setuptools"]["dynamic"]["version"] == {"attr": "tracer.version.VERSION"}


def test_module_and_packages_are_installed():
    assert PROJECT["tool"]["setuptools"]["py-modules"] == ["bytegraph"]
    assert set(installed.COPIED) >= {"bytegraph.py", "tracer", "passes", "backends"}


def test_entry_point_is_the_command_line(capsys):
    module, _, name = PROJECT["project"]["scripts"]["bytegraph"].partition(":")
    main = getattr(importlib.import_module(module), name)
    assert main(["--version"]) == 0
    assert capsys.readouterr().out.startswith(f"bytegraph {tracer.__version__}, torch 2.")


def test_what_is_imported_at_the_top_is_an_ordinary_dependency():
    """The imports inside functions are of commands of the learner, of extras, and of what torch brings."""
    foreign = {
        edge.target.split(".")[0]
        for path in sources()
        for edge in imports_of(path)
        if not edge.in_function and not edge.for_types
    }
    foreign -= {*sys.stdlib_module_names, "tracer", "passes", "backends", "torchgen", "functorch"}
    assert foreign <= set(installed.declared()), foreign
    assert {"typer", "rich", "numpy"} <= set(installed.declared()) and is_lazy("rich")


def test_commands_work_without_the_dependencies_of_the_learner(tmp_path):
    code = f"""
import sys
class Missing:
    def find_spec(name, path=None, target=None):
        if name.split(".")[0] in {EXTRAS}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
sys.meta_path.insert(0, Missing)
from tracer.commands.application import main
sys.exit(main(["why", "str.join"]) or main(["rules", "--help"]) or main(["record", "--help"]))
"""
    ended = run(code, tmp_path)
    assert ended.returncode == 0, ended.stderr
    assert "str.join" in ended.stdout


# Packages of the user's with the names of ours -------------------------------------------------------

LOAD = f"""
import importlib.util, sys
spec = importlib.util.spec_from_file_location("packages", {str(ROOT / "tracer" / "packages.py")!r})
spec.loader.exec_module(importlib.util.module_from_spec(spec))
"""
"""What `import tracer` does first, without torch; run without site-packages, where another tree may be installed."""

USE = """
import passes.errors, backends.mine
from importlib.util import find_spec
print(backends.mine.__file__, find_spec("backends.registry").origin)
"""


def write(folder, files):
    for name, text in files.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text)


@pytest.mark.parametrize("package", [{}, {"backends/__init__.py": "HERE = 1\n"}], ids=["folder", "package"])
@pytest.mark.parametrize("later", [False, True], ids=["in front of ours", "behind ours"])
def test_a_package_of_the_users_and_ours_are_one(tmp_path, package, later):
    write(tmp_path, {"backends/mine.py": "", **package})
    order = "import sys; sys.path.append(sys.path.pop(0))\n" if later else ""
    ended = run(order + LOAD + USE, tmp_path, "-S")
    assert ended.stdout.split() == [str(tmp_path / "backends/mine.py"), str(ROOT / "backends/registry.py")], ended


def test_a_package_of_the_users_keeps_its_own_names(tmp_path):
    write(tmp_path, {"backends/__init__.py": "from backends.mine import HERE\n", "backends/mine.py": "HERE = 5\n"})
    code = (
        "import bytegraph, torch, backends\nprint(backends.HERE, bytegraph.capture(torch.relu)(torch.ones(1)).item())"
    )
    assert run(code, tmp_path).stdout.split() == ["5", "1.0"]


@pytest.mark.parametrize(
    "files, words",
    [
        (
            {"backends/__init__.py": "", "backends/registry.py": ""},
            "/backends hides the package 'backends' of bytegraph, and has a registry",
        ),
        ({"passes/__init__.py": "meta = 1\n"}, "/passes hides the package 'passes' of bytegraph, and has a meta"),
        ({"passes.py": "print('it ran')\n"}, "/passes.py hides the package 'passes' of bytegraph, and is no package"),
    ],
)
def test_what_hides_ours_is_named(tmp_path, files, words):
    write(tmp_path, files)
    ended = run(LOAD, tmp_path, "-S")
    assert f"ImportError: {tmp_path}{words}" in ended.stderr and ended.stdout == ""


def test_a_module_that_hides_the_tracer_is_named(tmp_path):
    write(tmp_path, {"tracer.py": ""})
    ended = run("import bytegraph", tmp_path)
    assert f"ImportError: {tmp_path}/tracer.py hides the package 'tracer'" in ended.stderr
