"""Builds the one C++ extension, `tracer._native`; everything else about the project is in pyproject.toml."""

from pathlib import Path

from setuptools import setup
from torch.utils.cpp_extension import BuildExtension, CppExtension

NATIVE = Path("tracer/dispatch/native")

setup(
    ext_modules=[
        CppExtension(
            "tracer._native",
            sorted(str(path) for path in NATIVE.glob("*.cpp")),
            depends=sorted(str(path) for path in NATIVE.glob("*.h")),
            extra_compile_args=["-O2", "-g0", "-fvisibility=hidden"],
        )
    ],
    cmdclass={"build_ext": BuildExtension},
)
