"""Search in the guides: sections that have every word, and the sections that explain an error code."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from html import escape
from itertools import chain, islice

from django.utils.safestring import SafeString, mark_safe

from marketdata_project.guide_text import GuideSection, guide_names, guide_sections

MAX_WORDS = 8
MAX_RESULTS = 40
# Characters of an excerpt before the first word that was found, and in all.
_BEFORE, _EXCERPT = 60, 240
# These name codes without explaining them.
_NOT_EXPLAINING = {"errors", "decisions", "architecture", "bad_input", "faults", "performance"}
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
    """Return the sections that have every word, at most MAX_RESULTS: first those with most of them in the heading.

    A word is found in the guide's title, in the heading or in the text, also within another word.
    """
    found = [each for each in _all_sections() if all(word in _lowered(each) for word in words)]
    found.sort(key=lambda each: _rank(each, words))
    # Words side by side are one mark: a search for letters marks nearly all of a text.
    either = "|".join(map(re.escape, sorted(words, key=len, reverse=True)))
    pattern = re.compile(f"((?:{either})+)", re.IGNORECASE)
    return [
        Result(each, _marked(each.heading, pattern), _marked(_excerpt(each.text, pattern), pattern))
        for each in found[:MAX_RESULTS]
    ]


@cache
def sections_of_code(code: str) -> tuple[GuideSection, ...]:
    """Return the first sections that name an error code; empty if no guide explains it."""
    naming = (each for each in _all_sections() if code in each.codes and each.guide not in _NOT_EXPLAINING)
    return tuple(islice(naming, _MAX_EXPLAINING))


@cache
def _all_sections() -> tuple[GuideSection, ...]:
    return tuple(chain.from_iterable(map(guide_sections, guide_names())))


@cache
def _lowered(section: GuideSection) -> str:
    return f"{section.guide_title} {section.heading} {section.text}".lower()


def _rank(section: GuideSection, words: Sequence[str]) -> tuple[bool, int, int, int]:
    """Return the sort key of a section that was found; records of work come after what explains.

    Of sections with as many words in the heading the shortest heading is first, then that with its rarest word most often.
    """
    heading = sum(word in section.heading.lower() for word in words)
    often = min(_lowered(section).count(word) for word in words)
    return (section.guide in _NOT_EXPLAINING, -heading, len(section.heading) if heading else 0, -often)


def _excerpt(text: str, pattern: re.Pattern[str]) -> str:
    first = pattern.search(text)
    # From the beginning of a word.
    start = text.rfind(" ", 0, max(first.start() - _BEFORE, 0)) + 1 if first else 0
    end = start + _EXCERPT
    return ("… " if start else "") + text[start:end] + (" …" if end < len(text) else "")


def _marked(text: str, pattern: re.Pattern[str]) -> SafeString:
    """Return the text as HTML; each second piece was found."""
    pieces = map(escape, pattern.split(text))
    marked = (f"<mark>{each}</mark>" if number % 2 else each for number, each in enumerate(pieces))
    return mark_safe("".join(marked))  # noqa: S308 every piece is escaped
