"""Take the outputs out of the notebooks: `python notebooks/strip.py`, before they are committed.

What is left is what a person wrote: cells, their order, and which kernel runs them.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import nbformat

FOLDER: Final = Path(__file__).parent
KERNEL: Final = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}


def stripped(text: str) -> str:
    """A notebook without outputs, counts and an editor's metadata; its cells are numbered."""
    notebook: Any = nbformat.reads(text, as_version=4)
    notebook.metadata = nbformat.from_dict(KERNEL)
    for number, cell in enumerate(notebook.cells, 1):
        cell.id = f"cell-{number:02}"
        cell.metadata = nbformat.from_dict({})
        if cell.cell_type == "code":
            cell.outputs = []
            cell.execution_count = None
    nbformat.validate(notebook)
    return nbformat.writes(notebook) + "\n"


if __name__ == "__main__":
    for path in sorted(FOLDER.glob("*.ipynb")):
        text = path.read_text()
        if stripped(text) != text:
            path.write_text(stripped(text))
            print(f"stripped {path.name}")
