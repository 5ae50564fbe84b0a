"""The pages in docs/ and the README say what is so."""

import re
from pathlib import Path

from django.conf import settings

from marketdata_project.error_codes import ERROR_CODES

DOCS = settings.BASE_DIR / "docs"
ENVIRONMENT = re.compile(
    r"(?:\benv\.\w+|os\.environ(?:\.get|\.setdefault)?|_required_secret|_integer)[(\[]\s*[\"']([A-Z_]+)[\"']"
)
PROGRAM = ("marketdata_project", "trades", "stats", "ratelimit", "audit")
# Set by programs, not by people.
INTERNAL = {"DJANGO_SETTINGS_MODULE", "PYTHONPATH", "PYTEST_XDIST_WORKER", "TEST_DATA_OF"}


def sources(*folders: str) -> list[Path]:
    return [path for folder in folders for path in (settings.BASE_DIR / folder).rglob("*.py")]


def variables_in(paths: list[Path]) -> set[str]:
    return {name for path in paths for name in ENVIRONMENT.findall(path.read_text())}


def test_the_page_of_error_codes_lists_those_that_there_are():
    table = [line for line in (DOCS / "errors.md").read_text().splitlines() if re.match(r"\| \d", line)]
    assert table == [f"| {error.status} | `{error.code}` | {error.meaning} |" for error in ERROR_CODES]


def test_every_environment_variable_that_is_read_is_documented():
    read = variables_in(sources(*PROGRAM)) - INTERNAL
    assert {"DATA_DIR", "PORT", "SECRET_KEY"} <= read
    documented = set(re.findall(r"`([A-Z_]+)`", (DOCS / "settings.md").read_text()))
    assert read - documented == set()


def test_files_that_the_pages_name_exist():
    pages = [*DOCS.glob("*.md"), settings.BASE_DIR / "README.md"]
    named = {
        name
        for page in pages
        for name in re.findall(r"`((?:[a-z_]+/)+[a-z_]+\.(?:py|lua))`", page.read_text())
    }
    assert named
    assert [name for name in named if not (settings.BASE_DIR / name).exists()] == []


def test_links_between_the_pages_lead_somewhere():
    for page in [*DOCS.glob("*.md"), settings.BASE_DIR / "README.md"]:
        for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.name}: {target}"
