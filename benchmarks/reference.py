"""The API reference: the docstrings of every public name as HTML (`make docs` writes build/docs).

python -m benchmarks.reference [FOLDER]
"""

from __future__ import annotations

import sys
import warnings
from pathlib import Path

import pdoc

import bytegraph

ROOT = Path(__file__).parent.parent


def write(folder: Path) -> Path:
    """Write the reference, and return its page. Raises what pdoc only warns of, such as a name that leads nowhere."""
    for name in bytegraph.WHEN_ASKED_FOR:  # pdoc looks only at what a module has already
        setattr(bytegraph, name, getattr(bytegraph, name))
    pdoc.render.configure(docformat="markdown", show_source=False)
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        for unknown in ("Error parsing type annotation", "Import of .* failed"):  # such as networkx.DiGraph[str]
            warnings.filterwarnings("ignore", message=unknown)
        pdoc.pdoc("bytegraph", output_directory=folder)
    return folder / "bytegraph.html"


if __name__ == "__main__":
    print(write(Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "build" / "docs"))
