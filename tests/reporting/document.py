"""Just enough of a browser: an HTML document as a tree of elements with text."""

from __future__ import annotations

from collections.abc import Iterator
from html.parser import HTMLParser

VOID = {"meta", "link", "br", "img", "input", "hr"}


class Element:
    def __init__(self, tag: str, attributes: dict[str, str], parent: Element | None) -> None:
        self.tag, self.attributes, self.parent = tag, attributes, parent
        self.children: list[Element | str] = []

    @property
    def text(self) -> str:
        if self.tag in ("script", "style"):
            return ""
        parts = (c if isinstance(c, str) else c.text for c in self.children)
        return " ".join(" ".join(parts).split())

    def walk(self) -> Iterator[Element]:
        for child in self.children:
            if isinstance(child, Element):
                yield child
                yield from child.walk()

    def all(self, tag: str, **wanted: str) -> list[Element]:
        """Elements of that tag whose attributes hold the words given."""
        return [
            e
            for e in self.walk()
            if e.tag == tag
            and all(v in e.attributes.get(k.rstrip("_"), "").split() for k, v in wanted.items())
        ]


class Document(HTMLParser):
    """Parses strictly: every element that is opened is closed, in order."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.source = source
        self.root = Element("root", {}, None)
        self._open = self.root
        self.feed(source)
        self.close()
        assert self._open is self.root, f"<{self._open.tag}> is never closed"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        element = Element(tag, {k: v or "" for k, v in attrs}, self._open)
        self._open.children.append(element)
        if tag not in VOID:
            self._open = element

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._open.children.append(Element(tag, {k: v or "" for k, v in attrs}, self._open))

    def handle_endtag(self, tag: str) -> None:
        assert self._open.tag == tag, f"</{tag}> closes <{self._open.tag}>"
        assert self._open.parent is not None
        self._open = self._open.parent

    def handle_data(self, data: str) -> None:
        self._open.children.append(data)

    def section(self, name: str) -> Element:
        return next(e for e in self.root.walk() if e.attributes.get("id") == name)
