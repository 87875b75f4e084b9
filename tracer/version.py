"""The version of bytegraph, which pyproject.toml reads from here."""

from typing import Final

VERSION: Final = "0.1.0"
