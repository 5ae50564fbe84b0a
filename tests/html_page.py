"""A page that the API gave a browser, as its elements."""

from collections.abc import Iterator
from html.parser import HTMLParser


class Page(HTMLParser):
    """The elements of a page, as names with attributes, in order."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def form(self) -> dict[str, str | None]:
        return next(
            found for tag, found in self.elements if tag == "form" and found.get("class") == "query-form"
        )

    def inputs(self) -> dict[str, dict[str, str | None]]:
        """The form's visible inputs by name."""
        return {str(found["name"]): found for _, found in self._named("query-") if found["id"]}

    def selected(self) -> list[str | None]:
        return [found["value"] for tag, found in self.elements if tag == "option" and "selected" in found]

    def links(self, rel: str) -> list[str]:
        return [str(found["href"]) for tag, found in self.elements if tag == "a" and found.get("rel") == rel]

    def targets(self) -> list[str]:
        """Where links lead."""
        return [str(found["href"]) for tag, found in self.elements if tag == "a" and found.get("href")]

    def ids(self) -> set[str | None]:
        """The ids of all elements."""
        return {found.get("id") for _, found in self.elements}

    def _named(self, prefix: str) -> Iterator[tuple[str, dict[str, str | None]]]:
        for tag, found in self.elements:
            if tag in ("input", "select") and str(found.get("id")).startswith(prefix):
                yield tag, found
