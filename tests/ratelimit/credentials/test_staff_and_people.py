"""Staff with every permission of Django's look at people and groups, and change nobody: neither others nor themselves."""

from typing import Any

import pytest
from django.contrib.auth import authenticate
from django.contrib.auth.models import Group, Permission, User
from django.db.models import Model
from django.test import Client

from tests.ratelimit.credentials.logins import PASSWORD, person

pytestmark = pytest.mark.django_db
USERS, GROUPS = "/admin/auth/user/", "/admin/auth/group/"
NO_TIMES = {
    "last_login_0": "",
    "last_login_1": "",
    "date_joined_0": "2025-01-02",
    "date_joined_1": "03:04:05",
}
NEW_PASSWORD = {
    "password1": "another " + PASSWORD,
    "password2": "another " + PASSWORD,
    "usable_password": "true",
}


@pytest.fixture
def root() -> User:
    return User.objects.create_superuser("root", password=PASSWORD)


@pytest.fixture
def desk() -> Group:
    return Group.objects.create(name="desk")


@pytest.fixture
def clerk(root: User, desk: Group) -> User:
    user = person("clerk", flags={"is_staff": True})
    user.user_permissions.set(Permission.objects.all())
    return user


@pytest.fixture
def page(clerk: User) -> Client:
    client = Client()
    client.force_login(clerk)
    return client


def stored() -> list[Any]:
    """All that people and groups are and may, but for when they logged in."""
    return [
        list(
            User.objects.order_by("pk").values_list("pk", "username", "password", "is_superuser", "is_active")
        ),
        list(
            User.objects.order_by("pk", "groups", "user_permissions").values_list(
                "groups", "user_permissions"
            )
        ),
        list(Group.objects.order_by("pk", "permissions").values_list("pk", "name", "permissions")),
    ]


def form(user: User, **changes: Any) -> dict[str, Any]:
    kept = {"is_active": "on"} | ({"is_staff": "on"} if user.is_staff else {})
    return {"username": user.username, **kept, **NO_TIMES, **changes}


@pytest.mark.parametrize(
    "change",
    [{"is_superuser": "on"}, {"groups": True}, {"user_permissions": True}, {"username": "other"}],
    ids=["superuser", "groups", "permissions", "name"],
)
def test_they_do_not_change_themselves(
    page: Client, clerk: User, desk: Group, change: dict[str, Any]
) -> None:
    of = {"groups": [desk.pk], "user_permissions": [Permission.objects.earliest("pk").pk]}
    before = stored()
    given = {name: of.get(name, value) for name, value in change.items()}
    assert page.post(f"{USERS}{clerk.pk}/change/", form(clerk, **given)).status_code == 403
    assert stored() == before


def test_they_do_not_set_a_superusers_password(page: Client, root: User) -> None:
    assert page.get(f"{USERS}{root.pk}/password/").status_code == 403
    assert page.post(f"{USERS}{root.pk}/password/", NEW_PASSWORD).status_code == 403
    assert authenticate(username="root", password=PASSWORD) == root


@pytest.mark.parametrize(
    ("tail", "sent"),
    [
        ("change/", {"is_active": ""}),
        ("change/", {"username": "nobody"}),
        ("delete/", {"post": "yes"}),
        ("password/", NEW_PASSWORD),
    ],
    ids=["inactive", "renamed", "removed", "password"],
)
@pytest.mark.parametrize("whose", ["root", "ada"])
def test_they_do_not_change_others(page: Client, whose: str, tail: str, sent: dict[str, Any]) -> None:
    person("ada")
    user = User.objects.get(username=whose)
    before = stored()
    body = {**form(user), **sent} if tail == "change/" else sent
    assert page.post(f"{USERS}{user.pk}/{tail}", body).status_code == 403
    assert stored() == before


def test_they_neither_add_people_nor_remove_several(page: Client, root: User) -> None:
    before = stored()
    new = {"username": "ada", "password1": PASSWORD, "password2": PASSWORD, "usable_password": "true"}
    assert page.post(f"{USERS}add/", new).status_code == 403
    chosen = {"action": "delete_selected", "_selected_action": [root.pk], "post": "yes"}
    page.post(USERS, chosen)
    assert stored() == before


def test_they_change_no_group(page: Client, desk: Group) -> None:
    before = stored()
    wanted = {"name": "desk", "permissions": [Permission.objects.earliest("pk").pk]}
    chosen = {"action": "delete_selected", "_selected_action": [desk.pk], "post": "yes"}
    assert page.post(f"{GROUPS}{desk.pk}/change/", wanted).status_code == 403
    assert page.post(f"{GROUPS}{desk.pk}/delete/", {"post": "yes"}).status_code == 403
    assert page.post(f"{GROUPS}add/", {"name": "other"}).status_code == 403
    page.post(GROUPS, chosen)
    assert stored() == before


def test_they_look_at_people_and_groups_without_a_hash_of_a_password(
    page: Client, root: User, desk: Group
) -> None:
    seen: list[tuple[str, Model]] = [(USERS, root), (GROUPS, desk)]
    for listing, of in seen:
        assert page.get(listing).status_code == 200
        shown = page.get(f"{listing}{of.pk}/change/")
        assert shown.status_code == 200
        assert root.password.rsplit("$", 1)[1] not in shown.content.decode()
        assert 'name="_save"' not in shown.content.decode()


def test_they_change_their_own_password_with_the_old_one(page: Client, clerk: User) -> None:
    sent = {"old_password": PASSWORD, "new_password1": "my " + PASSWORD, "new_password2": "my " + PASSWORD}
    assert page.post("/admin/password_change/", {**sent, "old_password": "wrong"}).status_code == 200
    assert page.post("/admin/password_change/", sent).status_code == 302
    assert authenticate(username="clerk", password="my " + PASSWORD) == clerk


def test_a_former_superuser_changes_nobody(root: User, clerk: User) -> None:
    client = Client()
    client.force_login(root)
    assert client.get(f"{USERS}{clerk.pk}/password/").status_code == 200
    User.objects.filter(pk=root.pk).update(is_superuser=False)
    assert client.get(f"{USERS}{clerk.pk}/password/").status_code == 403
