"""Builds the C++ extensions, `tracer._native` and `passes.record._facts`; the rest is in pyproject.toml."""

from pathlib import Path

from setuptools import setup
from torch.utils.cpp_extension import BuildExtension, CppExtension

EXTENSIONS = {
    "tracer._native": Path("tracer/dispatch/native"),
    "passes.record._facts": Path("passes/record/native"),
}

setup(
    ext_modules=[
        CppExtension(
            name,
            sorted(str(path) for path in folder.glob("*.cpp")),
            depends=sorted(str(path) for path in folder.glob("*.h")),
            extra_compile_args=["-O2", "-g0", "-fvisibility=hidden"],
        )
        for name, folder in EXTENSIONS.items()
    ],
    cmdclass={"build_ext": BuildExtension},
)
