"""The parts of the user's files that a page shows: each file once, with the lines that something refers to."""

from __future__ import annotations

from typing import Any, Final

from passes.places import file_name, source_lines

AROUND: Final = 3
"""Lines shown before and after a line that is referred to."""

MOST_LINES: Final = 4_000
"""Lines of one file on a page; of longer ones only the surroundings of lines that are referred to."""


class Sources:
    """Collects places in files. A place is [number of the file, line, function]."""

    def __init__(self) -> None:
        self._files: dict[str, int] = {}
        self._lines: list[set[int]] = []

    def place(self, file: str, line: int, function: str) -> list[Any]:
        """A place as the page has it."""
        number = self._files.get(file)
        if number is None:
            number = self._files[file] = len(self._files)
            self._lines.append(set())
        self._lines[number].add(line)
        return [number, line, function]

    def span(self, file: str, first: int, last: int) -> None:
        """Show these lines, too."""
        number = self.place(file, first, "")[0]
        self._lines[number].update(range(first, last + 1))

    def facts(self) -> list[dict[str, Any]]:
        """For each file its path, its name, and the text of its lines by their number."""
        return [self._file(name, self._lines[number]) for name, number in self._files.items()]

    def _file(self, name: str, wanted: set[int]) -> dict[str, Any]:
        text = source_lines(name)
        if len(text) > MOST_LINES:
            shown = {near for line in wanted for near in range(line - AROUND, line + AROUND + 1)}
        else:
            shown = set(range(1, len(text) + 1))
        lines = {line: text[line - 1].rstrip() for line in sorted(shown) if 0 < line <= len(text)}
        return {"path": name, "name": file_name(name), "lines": lines}
