"""The primitives of the language, by subject. Importing this registers them all."""

from passes.rules.primitives import (
    composites,
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
    "composites",
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
