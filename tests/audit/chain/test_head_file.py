"""The head file: never behind what was committed, private, and patient with a disk that fails."""

import os

import pytest

from audit.chain.head_file import HeadFile
from audit.chain.links import Head


def head(sequence, letter="a"):
    return Head(sequence, letter * 64)


@pytest.fixture
def file(tmp_path):
    return HeadFile(tmp_path / "audit" / "head")


def test_the_head_goes_on_and_never_back(file):
    assert file.read() is None
    for sequence in (3, 5, 4, 5):
        file.advance(head(sequence))
    assert file.read() == head(5)


def test_a_head_that_the_database_contradicts_is_replaced(file):
    file.advance(head(9))
    file.advance(head(6, "b"), is_contradicted=True)
    assert file.read() == head(6, "b")


@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_a_write_that_fails_leaves_the_head_before_and_is_logged(file, monkeypatch, caplog, call):
    def failing(*_):
        raise OSError(28, "No space left on device")

    file.advance(head(1))
    with monkeypatch.context() as patch:
        patch.setattr(os, call, failing)
        patch.setattr(type(file.path), "replace", failing)
        file.advance(head(2))
    assert file.read() == head(1)
    assert "the audit log's head cannot be written" in caplog.text
    file.advance(head(3))
    assert file.read() == head(3)


def test_a_folder_that_cannot_be_made_is_logged(file, caplog):
    file.path.parent.write_bytes(b"no folder")
    file.advance(head(1))
    assert file.read() is None
    assert "cannot be written" in caplog.text


def test_the_file_is_private(file):
    file.advance(head(1))
    assert file.path.stat().st_mode & 0o777 == 0o600
    assert file.path.parent.stat().st_mode & 0o777 == 0o700
