"""The client for threads is made from that for asyncio, and is as it was made."""

import inspect

import unasync
from marketdata_client import AsyncClient, Client


def test_making_it_again_changes_nothing():
    assert unasync.differing() == {}


def test_a_module_that_was_changed_by_hand_is_found(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(unasync, "PACKAGE", tmp_path)
    for name in ("_async", "_sync"):
        (tmp_path / name).mkdir()
    (tmp_path / "_async" / "new.py").write_text("async def f(): await g()\n")
    assert unasync.main(["--check"]) == 1
    assert capsys.readouterr().out.startswith(str(tmp_path / "_sync" / "new.py"))
    assert unasync.main([]) == 0
    assert unasync.main(["--check"]) == 0
    assert (tmp_path / "_sync" / "new.py").read_text().endswith("\ndef f(): g()\n")


def test_both_clients_have_the_same_methods():
    def signatures(kind: type) -> dict[str, list[str]]:
        found = inspect.getmembers(kind, inspect.isfunction)
        return {name: list(inspect.signature(each).parameters) for name, each in found if name[0] != "_"}

    assert signatures(Client) == signatures(AsyncClient)
