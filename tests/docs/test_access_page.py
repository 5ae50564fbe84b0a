"""The page of access says what is so: its tables are the code's, its call answers as printed."""

import re
from io import StringIO

from django.conf import settings
from django.core.management import call_command

from marketdata_project.anonymous_clients import PUBLIC_VIEWS
from ratelimit.access.scopes import ROLES, SCOPES, SENSITIVITIES
from tests.api_client import Api, make_key
from tests.ratelimit.access.urlconf import routes

TEXT = (settings.BASE_DIR / "docs" / "access.md").read_text()
TABLE = (settings.BASE_DIR / "docs" / "access.txt").read_text()


def table_after(heading: str) -> list[str]:
    """The rows of the first table below a heading."""
    section = TEXT.partition(f"## {heading}\n")[2].partition("\n## ")[0]
    rows = [line for line in section.splitlines() if line.startswith("|")]
    return rows[2:]


def test_the_table_of_endpoints_is_the_command_s():
    printed = StringIO()
    call_command("access", stdout=printed)
    assert printed.getvalue() == TABLE, "replace docs/access.txt by what `manage.py access` prints"


def test_the_classes_of_the_tree_are_asked_for_the_same():
    paths = [row.split("|")[1] for row in TABLE.splitlines()]
    assert len(paths) == len(set(paths))


def test_the_table_of_roles_is_the_codes():
    assert table_after("Roles") == [
        f"| `{role.name}` | {' '.join(f'`{scope}`' for scope in role.scopes)} | {role.sensitivity} | {role.purpose} |"
        for role in ROLES.values()
    ]


def test_the_scopes_and_the_sensitivities_are_listed():
    assert re.findall(r"^\| `(\w+:\w+)`", "\n".join(table_after("Scopes")), re.MULTILINE) == list(SCOPES)
    assert [row.split("|")[1].strip() for row in table_after("Sensitivity")] == list(SENSITIVITIES)


def test_what_is_public_is_listed():
    listed = re.findall(r"`(/[^`]*)`", TEXT.partition("## Without a credential\n")[2].partition("\n## ")[0])
    paths = {route.path.removeprefix("/api/v1") for route in routes() if route.name in PUBLIC_VIEWS}
    assert set(listed) >= {path.removesuffix("/") or "/" for path in paths}


def test_a_missing_scope_answers_as_printed(api):
    call, expected = re.findall(
        r"^```\n(curl .*?)\n```\n\nanswers\n\n```\n(.*?)\n```", TEXT, re.DOTALL | re.MULTILINE
    )[0]
    path = re.search(r"8000(/\S*)", call)
    assert path is not None
    response = Api(make_key(scopes=("market:read",))).call("POST", path[1], b'{"symbol":"AAPL"}')
    assert re.fullmatch(re.escape(expected).replace("…", ".*"), response.content.decode())
