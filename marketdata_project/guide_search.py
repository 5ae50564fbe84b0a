"""Search in the guides: sections that have every word, and the sections that explain an error code."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from html import escape
from itertools import chain, islice
from typing import NamedTuple

from django.utils.safestring import SafeString, mark_safe

from marketdata_project.guide_text import GuideSection, guide_names, guide_sections

MAX_WORDS = 8
MAX_RESULTS = 40
# Characters of an excerpt before the first word that was found, and in all.
_BEFORE, _EXCERPT = 60, 240
# These name codes without explaining them.
_NOT_EXPLAINING = {
    "errors",
    "decisions",
    "architecture",
    "bad_input",
    "faults",
    "performance",
}
_MAX_EXPLAINING = 2


@dataclass(frozen=True, slots=True)
class Result:
    """A section that was found. heading and excerpt: HTML in which the words are marked."""

    section: GuideSection
    heading: SafeString
    excerpt: SafeString


def words_of(text: str) -> list[str]:
    """Return the words of a search, in lower case, each once."""
    return list(dict.fromkeys(text.lower().split()))


def search(words: Sequence[str]) -> list[Result]:
    """Return the sections that have every word, at most MAX_RESULTS: first those with most of them in headings.

    A word is found in the guide's title, in the heading or in the text, also within another word.
    """
    found = [each for each in _searched() if _has_all(words, each.whole)]
    found.sort(key=lambda each: _rank(each, words))
    return [_result(each.section, words) for each in islice(found, MAX_RESULTS)]


@cache
def sections_of_code(code: str) -> tuple[GuideSection, ...]:
    """Return the first sections that name an error code; empty if no guide explains it."""
    naming = (each for each in _all_sections() if code in each.codes and each.guide not in _NOT_EXPLAINING)
    return tuple(islice(naming, _MAX_EXPLAINING))


@cache
def _all_sections() -> tuple[GuideSection, ...]:
    return tuple(chain.from_iterable(map(guide_sections, guide_names())))


class _Searched(NamedTuple):
    """A section with its texts in lower case: the heading, also with the guide's title, and with the text, too."""

    section: GuideSection
    heading: str
    headings: str
    whole: str


@cache
def _searched() -> tuple[_Searched, ...]:
    return tuple(map(_lowered, _all_sections()))


def _lowered(section: GuideSection) -> _Searched:
    headings = f"{section.guide_title} {section.heading}"
    return _Searched(section, section.heading.lower(), headings.lower(), f"{headings} {section.text}".lower())


def _has_all(words: Sequence[str], text: str) -> bool:
    return all(word in text for word in words)


def _rank(searched: _Searched, words: Sequence[str]) -> tuple[bool, int, int, int, int]:
    """Return the sort key of a section that was found; records of work come after what explains.

    Of sections with as many words in headings the shortest heading is first, then that with its rarest word most often.
    """
    heading, headings = (
        sum(word in text for word in words) for text in (searched.heading, searched.headings)
    )
    often = min((searched.whole.count(word) for word in words), default=0)
    length = len(searched.heading) if heading else 0
    return (searched.section.guide in _NOT_EXPLAINING, -heading, length, -headings, -often)


def _result(section: GuideSection, words: Sequence[str]) -> Result:
    # Words side by side are one mark: a search for letters marks nearly all of a text.
    either = "|".join(map(re.escape, sorted(words, key=len, reverse=True)))
    pattern = re.compile(f"(?:{either})+", re.IGNORECASE)
    return Result(
        section, _marked(section.heading, pattern), _marked(_excerpt(section.text, pattern), pattern)
    )


def _excerpt(text: str, pattern: re.Pattern[str]) -> str:
    first = pattern.search(text)
    start = max(first.start() - _BEFORE, 0) if first is not None else 0
    # From the beginning of a word.
    start = text.rfind(" ", 0, start) + 1
    end = start + _EXCERPT
    return ("… " if start else "") + text[start:end] + (" …" if end < len(text) else "")


def _marked(text: str, pattern: re.Pattern[str]) -> SafeString:
    return mark_safe("".join(_pieces(text, pattern)))  # noqa: S308 every piece is escaped


def _pieces(text: str, pattern: re.Pattern[str]) -> Iterator[str]:
    end = 0
    for found in pattern.finditer(text):
        yield f"{escape(text[end : found.start()])}<mark>{escape(found[0])}</mark>"
        end = found.end()
    yield escape(text[end:])
