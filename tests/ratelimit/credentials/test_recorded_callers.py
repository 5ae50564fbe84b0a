"""Whose a call was that got a credential, or gave one back, is in its record."""

from pathlib import Path
from typing import Any

import pytest

from audit.services import call_spool
from tests.audit.builders import spool_records
from tests.ratelimit.access.programs import GRANT, Program, oauth, program, token_of
from tests.ratelimit.credentials.logins import logged_in, login, person, post

pytestmark = pytest.mark.django_db


@pytest.fixture
def recorded(settings: Any, tmp_path: Path) -> Any:
    """The callers of a path's calls."""
    settings.AUDIT_DIR = tmp_path / "audit"

    def callers(path: str) -> list[str]:
        calls = spool_records(tmp_path / "audit")
        return [call["caller"] for call in calls if call["path"] == f"/api/v1{path}"]

    yield callers
    call_spool().close()


def test_a_person_is_named_by_login_renewal_and_logout(recorded: Any) -> None:
    user = person(scopes=["market:read"])
    tokens = logged_in()
    renewed = post("/auth/refresh", {"refresh": tokens["refresh"]}).json()
    assert post("/auth/logout", {"refresh": renewed["refresh"]}).status_code == 204
    for path in ("/auth/token", "/auth/refresh", "/auth/logout"):
        assert recorded(path) == [f"user:{user.pk}"], path


def test_a_program_is_recorded_by_its_key(recorded: Any) -> None:
    client = program()
    for token in (token_of(client), "unknown"):
        assert oauth("revoke", {"token": token}, client.basic).status_code == 200
    assert oauth("token", {**GRANT, "scope": "unknown"}, client.basic).status_code == 400
    name = f"key:{client.key.pk}"
    assert [recorded(path) for path in ("/oauth/token", "/oauth/revoke")] == [[name] * 2] * 2


def test_a_refused_client_is_recorded_without_a_caller(recorded: Any) -> None:
    person(scopes=["market:read"])
    login(password="wrong")
    post("/auth/logout", {"refresh": "a.b.c"})
    oauth("token", GRANT, Program("nobody", "wrong").basic)
    assert [recorded(path) for path in ("/auth/token", "/auth/logout", "/oauth/token")] == [[""]] * 3
