"""The pages in docs/ and at the root say what is so."""

import re
from pathlib import Path

from django.conf import settings

from marketdata_project.error_codes import ERROR_CODES
from tests.program import PACKAGES

DOCS = settings.BASE_DIR / "docs"
ENVIRONMENT = re.compile(
    r"(?:\benv\.\w+|os\.environ(?:\.get|\.setdefault)?|\b(?:required_secret|secrets_list|secret|integer|networks))[(\[]\s*[\"']([A-Z_]+)[\"']"
)
PAGES = [*DOCS.glob("*.md"), *settings.BASE_DIR.glob("*.md")]
README = settings.BASE_DIR / "README.md"
FIRST_CALLS = DOCS / "first_calls.md"
OF_DJANGO = {"management", "commands", "migrations"}
# What the page says of the same batch once more.
AGAIN = '"stored":0,"duplicates":3,"duplicate_rows":[0,1,2]'
# Set by programs, not by people.
INTERNAL = {
    *("DJANGO_SETTINGS_MODULE", "PYTHONPATH", "PYTEST_XDIST_WORKER", "TEST_DATA_OF"),
    *("NOSETPS", "SPT_NOENV", "ARROW_DEFAULT_MEMORY_POOL"),  # set for libraries, and read by them only
}


def sources(*folders: str) -> list[Path]:
    return [path for folder in folders for path in (settings.BASE_DIR / folder).rglob("*.py")]


def variables_in(paths: list[Path]) -> set[str]:
    return {name for path in paths for name in ENVIRONMENT.findall(path.read_text())}


def test_the_page_of_error_codes_lists_those_that_there_are():
    page = (DOCS / "errors.md").read_text().split("## Codes of fields")[0]
    told = [line for line in page.splitlines() if line.startswith(("### ", "- `"))]
    groups: dict[str, list[str]] = {}
    for error in ERROR_CODES:
        row = f"- `{error.code}`: {error.meaning}"
        groups.setdefault(f"### {error.status}: {error.next_step}", []).append(row)
    assert told == [line for heading, rows in groups.items() for line in (heading, *rows)]


def test_every_environment_variable_that_is_read_is_documented():
    read = variables_in(sources(*PACKAGES)) - INTERNAL
    assert {"DATA_DIR", "PORT", "SECRET_KEY"} <= read
    documented = set(re.findall(r"`([A-Z_]+)`", (DOCS / "settings.md").read_text()))
    assert read - documented == set()


def test_files_that_the_pages_name_exist():
    named = {
        name
        for page in PAGES
        for name in re.findall(r"`((?:[a-z_]+/)+[a-z_]+\.(?:py|lua))`", page.read_text())
    }
    assert named
    assert [name for name in named if not (settings.BASE_DIR / name).exists()] == []


def test_links_between_the_pages_lead_somewhere():
    for page in PAGES:
        for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.name}: {target}"


def test_every_page_is_linked_from_the_page_of_contents():
    linked = set(re.findall(r"\]\(([a-z_]+\.md)\)", (DOCS / "contents.md").read_text()))
    assert linked == {page.name for page in DOCS.glob("*.md")} - {"contents.md"}


def test_the_table_of_rooms_lists_every_package():
    listed = re.findall(r"^\| `([a-z_/]+)/` \|", (DOCS / "architecture.md").read_text(), re.MULTILINE)
    packages = {path.relative_to(settings.BASE_DIR).parts[0] for path in sources(*PACKAGES)}
    assert sorted(listed) == sorted(packages | {"benchmarks", "clients/python", "docs/examples", "tests"})


def test_every_package_of_an_app_says_what_it_holds():
    silent = [
        path.parent.name
        for path in sources(*PACKAGES)
        if path.name == "__init__.py"
        and path.parent.name not in OF_DJANGO
        and not path.read_text().startswith('"""')
    ]
    assert silent == []


def test_names_that_the_pages_give_are_in_the_program():
    program = "\n".join(path.read_text() for path in sources(*PACKAGES, "docs/examples", "tests"))
    words = set(re.findall(r"\w+", program))
    for page in ("architecture", "decisions"):
        named = set(re.findall(r"`([a-z]+(?:_[a-z]+)+)`", (DOCS / f"{page}.md").read_text()))
        assert named - words == set(), page


def test_the_call_of_the_page_of_corrections_answers_as_printed(api):
    api.call("POST", "/v1/trades/ingest", body_in(blocks_from(FIRST_CALLS, "/v1/trades/ingest")[0]))
    call, answer = blocks_from(DOCS / "corrections.md", "/api/v1/trades/corrections")[:2]
    assert api.call("POST", "/api/v1/trades/corrections", body_in(call)).content.decode() == answer


def test_the_call_of_the_page_of_instruments_answers_as_printed(api):
    call, answer = blocks_from(DOCS / "instruments.md", "/api/v1/instruments")[:2]
    assert api.call("PUT", "/api/v1/instruments/ESH26", body_in(call)).content.decode() == answer


def blocks_from(page: Path, text: str) -> list[str]:
    """The page's blocks, from the first one on that has a text."""
    blocks: list[str] = re.findall(r"^```\n(.*?)\n```", page.read_text(), re.DOTALL | re.MULTILINE)
    return blocks[next(place for place, block in enumerate(blocks) if text in block) :]


def body_in(call: str) -> bytes:
    """What a curl command sends."""
    body = re.search(r"-d '(.*)'", call, re.DOTALL)
    assert body is not None
    return body[1].encode()
