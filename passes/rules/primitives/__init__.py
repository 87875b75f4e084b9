"""The primitives of the language, by subject. Importing this registers them all."""

from passes.rules.primitives import (
    contractions,
    indexing,
    iterator,
    layouts,
    questions,
    shapes,
    transforms,
    types,
    views,
    windows,
)

__all__ = [
    "contractions",
    "indexing",
    "iterator",
    "layouts",
    "questions",
    "shapes",
    "transforms",
    "types",
    "views",
    "windows",
]
