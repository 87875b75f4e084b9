"""The page as text: the data, the style sheet and the scripts put into one HTML file."""

from __future__ import annotations

import html
import json
from collections.abc import Mapping
from importlib.resources import files
from typing import Any, Final

import jinja2

STYLES: Final = ("page.css",)
SCRIPTS: Final = ("elements.js", "layout.js", "drawing.js", "captures.js", "overview.js", "page.js")


def page_of(facts: Mapping[str, Any]) -> str:
    """The HTML of `tracer.page.facts.page_facts`. It refers to nothing outside of itself."""
    assets = files("tracer.page") / "assets"
    template = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined).from_string(
        (assets / "page.html").read_text()
    )
    return template.render(
        title=facts["title"],
        styles=[(assets / name).read_text() for name in STYLES],
        scripts=[(assets / name).read_text() for name in SCRIPTS],
        data=_embedded(facts),
    )


def framed(page: str) -> str:
    """A page inside another one, such as a notebook's, in a frame that keeps their styles and scripts apart."""
    return f'<iframe srcdoc="{html.escape(page)}" style="width: 100%; height: 600px; border: 0"></iframe>'


def _embedded(facts: Mapping[str, Any]) -> str:
    """JSON that may stand in a script element: text of the program in it cannot end the element."""
    text = json.dumps(facts, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
