"""Builds the C++ extensions, `tracer._native` and `passes.record._facts`; the rest is in pyproject.toml.

The header with the numbers of guards is generated first. With SANITIZE=address,undefined in the environment both are
built with these sanitizers of the compiler (see `make native-asan`).
"""

import os
import runpy
import sys
from pathlib import Path

from setuptools import setup
from torch.utils.cpp_extension import BuildExtension, CppExtension, include_paths

GENERATED = Path("build/generated")
SHARED = Path("passes/native")

EXTENSIONS = {
    "tracer._native": Path("tracer/dispatch/native"),
    "passes.record._facts": Path("passes/record/native"),
}

WARNINGS = ["-Wall", "-Wextra", "-Werror=switch"]
# Headers of torch are not ours to warn about; a folder given with -isystem loses its -I.
SYSTEM_HEADERS = [flag for path in include_paths() for flag in ("-isystem", path)]
SANITIZERS = [f"-fsanitize={kinds}"] if (kinds := os.environ.get("SANITIZE")) else []
OPTIMISATION = ["-O1", "-g1", "-fno-omit-frame-pointer"] if SANITIZERS else ["-O2", "-g0"]

# The Makefile writes this file anew when another torch is to be built for, whose headers nothing else would look at.
BUILT_FOR = list(Path("build").glob("torch-of-python{}.{}".format(*sys.version_info[:2])))


def headers(folder: Path) -> list[Path]:
    """The headers in a folder."""
    return list(folder.glob("*.h"))


runpy.run_path("tracer/dispatch/native/numbers.py")["write"](GENERATED / "guard_numbers.h")

setup(
    ext_modules=[
        CppExtension(
            name,
            sorted(str(path) for path in folder.glob("*.cpp")),
            include_dirs=[str(GENERATED.resolve()), str(SHARED.resolve())],
            depends=sorted(str(path) for path in [*BUILT_FOR, *headers(folder), *headers(GENERATED), *headers(SHARED)]),
            extra_compile_args=["-fvisibility=hidden", *WARNINGS, *SYSTEM_HEADERS, *OPTIMISATION, *SANITIZERS],
            extra_link_args=SANITIZERS,
        )
        for name, folder in EXTENSIONS.items()
    ],
    cmdclass={"build_ext": BuildExtension},
)
