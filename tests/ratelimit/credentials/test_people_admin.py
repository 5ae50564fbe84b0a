"""Who made whom what in the admin, and who logged in there, is in the audit log."""

import json
from typing import Any

import pytest
from django.contrib.auth.models import Group, Permission, User
from django.db import OperationalError, connection
from django.test import Client

from audit.models import AuditRecord
from tests.ratelimit.credentials.logins import PASSWORD, login, person

pytestmark = pytest.mark.django_db
USERS, GROUPS = "/admin/auth/user/", "/admin/auth/group/"
NO_TIMES = {
    "last_login_0": "",
    "last_login_1": "",
    "date_joined_0": "2025-01-02",
    "date_joined_1": "03:04:05",
}


@pytest.fixture
def root() -> Client:
    client = Client()
    client.force_login(User.objects.create_superuser("root", password=PASSWORD))
    return client


def events() -> list[tuple[str, str, str, dict[str, Any]]]:
    rows = AuditRecord.objects.filter(audit_class="keys").order_by("sequence")
    return [(row.caller, row.event, row.subject, json.loads(row.detail)) for row in rows]


def refuse_records(execute: Any, sql: Any, params: Any, many: Any, context: Any) -> Any:
    if sql.startswith("INSERT INTO audit_auditrecord"):
        raise OperationalError("disk I/O error")
    return execute(sql, params, many, context)


def actor() -> str:
    return f"user:{User.objects.get(username='root').pk}"


def made_superuser(root: Client, user: User, **more: Any) -> Any:
    form = {"username": user.username, "is_active": "on", "is_superuser": "on", **NO_TIMES, **more}
    return root.post(f"{USERS}{user.pk}/change/", form)


def test_adding_a_person_is_recorded_without_the_password(root: Client) -> None:
    new = {"username": "ada", "password1": PASSWORD, "password2": PASSWORD, "usable_password": "true"}
    assert root.post(f"{USERS}add/", new).status_code == 302
    user = User.objects.get(username="ada")
    ((caller, event, subject, detail),) = events()
    assert (caller, event, subject) == (actor(), "user.added", f"user:{user.pk}")
    assert {"path": "is_superuser", "after": False} in detail["change"]
    told = json.dumps(list(AuditRecord.objects.values()), default=str)
    assert PASSWORD not in told
    assert user.password not in told


def test_making_a_superuser_is_recorded_with_the_flags_before(root: Client) -> None:
    user, group = person(), Group.objects.create(name="desk")
    permission = Permission.objects.get(codename="view_auditrecord")
    answer = made_superuser(root, user, groups=[group.pk], user_permissions=[permission.pk])
    assert answer.status_code == 302, answer.content.decode()
    ((caller, event, subject, detail),) = events()
    assert (caller, event, subject) == (actor(), "user.changed", f"user:{user.pk}")
    assert detail["change"] == [
        {"path": "groups", "before": [], "after": ["desk"]},
        {"path": "is_superuser", "before": False, "after": True},
        {"path": "permissions", "before": [], "after": ["audit.view_auditrecord"]},
    ]


@pytest.mark.django_db(transaction=True)
def test_there_is_no_new_superuser_without_a_record(root: Client) -> None:
    user = person()
    root.raise_request_exception = False

    with connection.execute_wrapper(refuse_records):
        assert made_superuser(root, user).status_code >= 500
    user.refresh_from_db()
    assert not user.is_superuser


def test_a_new_password_is_recorded_as_an_event_without_the_password(root: Client) -> None:
    user = person()
    new = {"password1": "another " + PASSWORD, "password2": "another " + PASSWORD, "usable_password": "true"}
    wrong = {**new, "password2": "other"}
    assert root.post(f"{USERS}{user.pk}/password/", wrong).status_code == 200
    assert events() == []
    assert root.post(f"{USERS}{user.pk}/password/", new).status_code == 302
    assert events() == [(actor(), "user.password_changed", f"user:{user.pk}", {"name": "ada"})]


@pytest.mark.parametrize("is_superuser", [True, False])
def test_a_change_of_ones_own_password_is_recorded_without_the_password(is_superuser: bool) -> None:
    user, client = person(flags={"is_staff": True, "is_superuser": is_superuser}), Client()
    client.force_login(user)
    new = {"old_password": PASSWORD, "new_password1": "my " + PASSWORD, "new_password2": "my " + PASSWORD}
    assert client.post("/admin/password_change/", {**new, "old_password": "other"}).status_code == 200
    assert (client.get("/admin/password_change/").status_code, events()) == (200, [])
    assert client.post("/admin/password_change/", new).status_code == 302
    actor = f"user:{user.pk}"
    assert events() == [(actor, "user.password_changed", actor, {"name": "ada"})]
    # The session goes on.
    assert client.get("/admin/password_change/done/").status_code == 200


@pytest.mark.django_db(transaction=True)
def test_there_is_no_new_password_of_ones_own_without_a_record(root: Client) -> None:
    root.raise_request_exception = False
    new = {"old_password": PASSWORD, "new_password1": "my " + PASSWORD, "new_password2": "my " + PASSWORD}
    with connection.execute_wrapper(refuse_records):
        assert root.post("/admin/password_change/", new).status_code >= 500
    assert User.objects.get().check_password(PASSWORD)


def test_people_who_are_removed_are_recorded(root: Client) -> None:
    one, other = person("one"), person("other")
    assert root.post(f"{USERS}{one.pk}/delete/", {"post": "yes"}).status_code == 302
    chosen = {"action": "delete_selected", "_selected_action": [other.pk], "post": "yes"}
    assert root.post(USERS, chosen).status_code == 302
    assert [(event, subject) for _, event, subject, _ in events()] == [
        ("user.removed", f"user:{one.pk}"),
        ("user.removed", f"user:{other.pk}"),
    ]


def test_a_groups_permissions_are_recorded(root: Client) -> None:
    group = Group.objects.create(name="desk")
    permission = Permission.objects.get(codename="change_user")
    assert (
        root.post(f"{GROUPS}{group.pk}/change/", {"name": "desk", "permissions": [permission.pk]}).status_code
        == 302
    )
    ((_, event, subject, detail),) = events()
    assert (event, subject) == ("group.changed", f"group:{group.pk}")
    assert detail["change"] == [{"path": "permissions", "before": [], "after": ["auth.change_user"]}]


def test_logins_by_the_page_are_recorded_good_and_bad() -> None:
    user = person("clerk", flags={"is_staff": True})
    page = Client(REMOTE_ADDR="192.0.2.7")
    page.post("/login", {"username": "clerk", "password": "wrong"})
    page.post("/login", {"username": "clerk", "password": PASSWORD})
    told = {"name": "clerk", "address": "192.0.2.7"}
    assert events() == [
        ("", "login.failed", "", told),
        (f"user:{user.pk}", "login.done", f"user:{user.pk}", told),
    ]


def test_logins_of_the_api_are_calls_and_no_events() -> None:
    person(scopes=["market:read"])
    login()
    login(password="wrong")
    assert events() == []
