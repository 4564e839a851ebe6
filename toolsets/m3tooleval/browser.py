"""The shop's web site, and a browser that shows five lines of a page at a time."""

from __future__ import annotations

from collections.abc import Mapping

_LINES = 5
_START = "/"
_RULE = "-" * 10


class Browser:
    """One visitor's browser.

    Args:
        pages: content by name.
        links: pages by the names that they are linked by, where those differ.
    """

    def __init__(self, pages: Mapping[str, str], links: Mapping[str, str]) -> None:
        self._pages = pages
        self._links = links
        self._page = _START
        self._line = 0
        self._history: list[str] = []

    def click(self, url: str) -> str:
        """Open a page, whether it is linked here or not."""
        name = url.replace("'", "")
        name = self._links.get(name, name)
        if name not in self._pages:
            return "[URL not found.]"
        self._history.append(self._page)
        return self._open(name)

    def back(self) -> str:
        """Open the page before."""
        return self._open(self._history.pop()) if self._history else "[No previous page.]"

    def down(self) -> str:
        """Show the next lines."""
        if self._line + _LINES >= len(self._lines):
            return "[Reached the bottom of the page.]\n"
        self._line += _LINES
        return self.view()

    def up(self) -> str:
        """Show the lines before."""
        if not self._line:
            return "[Reached the top of the page.]\n"
        self._line -= _LINES
        return self.view()

    def view(self) -> str:
        """The lines that are shown, framed."""
        count = len(self._lines)
        # As published: the number of pages is one too high where the lines fill the last one.
        number, of = (self._line // _LINES + 1, count // _LINES + 1) if count > _LINES else (1, 1)
        shown = self._lines[self._line : self._line + _LINES]
        return "\n".join(
            [_RULE, f"[Web Page Name: {self._page}]", f"[Viewing page {number} of {of}]", "", *shown, _RULE]
        )

    @property
    def _lines(self) -> list[str]:
        return self._pages[self._page].split("\n")

    def _open(self, name: str) -> str:
        self._page, self._line = name, 0
        return f"[Opened page: {name}]\n{self.view()}"
