"""`python -m tests.sanitized`: the tests of native code with extensions that AddressSanitizer and UBSan watch.

The extensions are built anew in a copy of the tree below build/sanitized, so that the usual ones stay as they are. A
read of freed memory, a read past the end or undefined arithmetic ends the run with a report and a failure.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
TREE = ROOT / "build" / "sanitized"
COPIED = ("tracer", "passes", "backends", "tests", "bytegraph.py", "setup.py", "pyproject.toml", "README.md", "LICENSE")

TESTS = (
    "test_guards.py",
    "test_guards_native.py",
    "test_guards_numbers.py",
    "test_guards_bindings.py",
    "test_guards_watched.py",
    "test_guards_fuzz.py",
    "test_guard_costs.py",
    "test_native_boundary.py",
    "test_dispatch.py",
    "test_binding.py",
    "test_hook.py",
    "test_leaks.py",
    "test_c_state.py",
    "test_record.py",
)
"""Guards and their cost, dispatch, the frame hook, threads (in test_dispatch and test_hook), leaks, recorded facts."""

LIBRARIES = (("libasan.so",), ("libclang_rt.asan-x86_64.so", "libclang_rt.asan.so"))
"""The run-time library of AddressSanitizer: gcc's, clang's."""

ENVIRONMENT = {
    "PYTHONMALLOC": "malloc",  # Python's own allocator would hide what is freed
    "ASAN_OPTIONS": "detect_leaks=0:abort_on_error=1:handle_abort=1",  # CPython frees little at its end
    "UBSAN_OPTIONS": "print_stacktrace=1:halt_on_error=1",
    "OMP_NUM_THREADS": "1",
}


def runtime_libraries(compiler: str) -> list[str]:
    """What must be loaded before Python, which is not built with sanitizers. Exits if it is not installed."""
    for names in LIBRARIES:
        for name in names:
            library = _library(compiler, name)
            if library is not None:
                # libstdc++ too: the sanitizer looks for the functions that throw when it starts.
                return [library, *filter(None, [_library(compiler, "libstdc++.so.6")])]
    sys.exit(f"{compiler} has no run-time library of AddressSanitizer (Debian: libasan8 comes with g++)")


def _library(compiler: str, name: str) -> str | None:
    """The path of a library of the compiler, which answers with the bare name if it has none."""
    answer = subprocess.run([compiler, f"-print-file-name={name}"], capture_output=True, text=True, check=True)
    path = Path(answer.stdout.strip())
    return str(path.resolve()) if path.is_absolute() else None


def copy_tree() -> None:
    """The sources as they are now; the objects of the last build stay beside them, newer than what is unchanged."""
    TREE.mkdir(parents=True, exist_ok=True)
    for name in COPIED:
        source, target = ROOT / name, TREE / name
        if source.is_file():
            shutil.copy2(source, target)
            continue
        if target.exists():
            shutil.rmtree(target)
        shutil.copytree(source, target, ignore=shutil.ignore_patterns("*.so", "__pycache__"))


def main() -> int:
    compiler = os.environ.get("CXX", "c++")
    if shutil.which(compiler) is None:
        sys.exit(f"{compiler} is not installed")
    libraries = runtime_libraries(compiler)
    copy_tree()
    environment = {**os.environ, **ENVIRONMENT, "PYTHONPATH": str(TREE), "SANITIZE": "address,undefined"}
    build = [sys.executable, "setup.py", "--quiet", "build_ext", "--inplace"]
    compilation = subprocess.run(build, cwd=TREE, env=environment, capture_output=True, text=True, check=False)
    if compilation.returncode:
        print(compilation.stdout, compilation.stderr, sep="\n")
        return 1
    environment["LD_PRELOAD"] = ":".join(libraries)
    tests = [f"tests/{name}" for name in TESTS]
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *(sys.argv[1:] or ["-n0"]), *tests]
    return subprocess.run(command, cwd=TREE, env=environment, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
