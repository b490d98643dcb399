"""HTML that is built from elements: whatever is no `Markup` is text, and text is escaped."""

from __future__ import annotations

import html
from collections.abc import Iterable, Mapping, Sequence

__all__ = ["Markup", "details", "element", "figure", "image", "items", "joined", "paragraph", "table", "with_code"]

_VOID = {"img", "meta", "link", "br", "col"}


class Markup(str):
    """Text that is HTML already."""

    __slots__ = ()


def element(name: str, *children: str, attributes: Mapping[str, str] | None = None) -> Markup:
    """One element.

    Args:
        name: of the element.
        children: what stands in it; anything but `Markup` is escaped.
        attributes: their values are escaped.
    """
    given = "".join(f' {key}="{html.escape(value, quote=True)}"' for key, value in (attributes or {}).items())
    if name in _VOID:
        return Markup(f"<{name}{given}>")
    return Markup(f"<{name}{given}>{joined(children)}</{name}>")


def joined(children: Iterable[str], between: str = "") -> Markup:
    """Several pieces after each other."""
    return Markup(between.join(child if isinstance(child, Markup) else html.escape(str(child)) for child in children))


def paragraph(*children: str, kind: str = "") -> Markup:
    """A paragraph, of a class where one is named."""
    return element("p", *children, attributes={"class": kind} if kind else None)


def items(texts: Iterable[str]) -> Markup:
    """A list of sentences."""
    return element("ul", *(element("li", text) for text in texts))


def table(caption: str, head: Sequence[str], rows: Iterable[Sequence[str]], *, kind: str = "") -> Markup:
    """A table that scrolls sideways by itself where the page is narrow; the first cell of a row is its heading."""
    top = element("tr", *(element("th", cell, attributes={"scope": "col"}) for cell in head))
    body = [
        element("tr", element("th", row[0], attributes={"scope": "row"}), *(element("td", cell) for cell in row[1:]))
        for row in rows
    ]
    whole = element(
        "table", element("caption", element("span", caption)), element("thead", top), element("tbody", *body),
        attributes={"class": kind} if kind else None,
    )  # fmt: skip
    return element("div", whole, attributes={"class": "wide", "role": "region", "aria-label": caption, "tabindex": "0"})


def image(source: str, alt: str, *, kind: str = "", size: tuple[int, int] | None = None) -> Markup:
    """A picture with the words that stand for it."""
    attributes = {"src": source, "alt": alt} | ({"class": kind} if kind else {})
    if size is not None:
        attributes |= {"width": str(size[0]), "height": str(size[1])}
    return element("img", attributes=attributes)


def figure(source: str, alt: str, caption: str, *, broad: bool = False) -> Markup:
    """A plot with the words that stand for it and a line below it; a broad one scrolls sideways on a phone."""
    attributes = {"tabindex": "0"} if broad else None
    return element(
        "figure", image(source, alt, kind="broad" if broad else ""), element("figcaption", caption), attributes=attributes
    )


def with_code(text: str) -> Markup:
    """A sentence whose commands stand between backticks."""
    parts = text.split("`")
    return joined(element("code", part) if place % 2 else part for place, part in enumerate(parts))


def details(summary: str, *children: str) -> Markup:
    """What is shown when it is asked for."""
    return element("details", element("summary", summary), *children)
