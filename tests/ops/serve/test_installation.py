"""The folders and the listener of an installation."""

import os
import socket

import pytest

from ops.serve.installation import (
    AlreadyRunning,
    FolderUnavailable,
    PortUnavailable,
    address_of,
    make_private_folder,
    noted_url,
    open_listener,
    running_url,
    sole_user,
    url_of,
)
from tests.patience import PATIENCE_SECONDS


def test_a_socket_folder_of_somebody_else_is_refused(tmp_path):
    (tmp_path / "target").mkdir()
    (tmp_path / "link").symlink_to("target")
    with pytest.raises(FolderUnavailable, match="belongs to another user"):
        make_private_folder(tmp_path / "link")
    if os.geteuid() == 0:
        os.chown(tmp_path / "target", 12345, 12345)
        with pytest.raises(FolderUnavailable, match="belongs to another user"):
            make_private_folder(tmp_path / "target")


def test_an_open_folder_of_ours_is_made_private(tmp_path):
    (tmp_path / "run").mkdir(mode=0o755)
    make_private_folder(tmp_path / "run")
    assert (tmp_path / "run").stat().st_mode & 0o777 == 0o700


def test_an_error_of_whoever_uses_the_folder_stays_what_it_is(tmp_path):
    with pytest.raises(OSError, match="a disk of its own"):
        with sole_user(tmp_path):
            raise OSError("a disk of its own")
    with pytest.raises(FolderUnavailable):
        with sole_user(tmp_path / "missing"):
            pytest.fail("used")


def test_a_data_folder_has_one_user_at_a_time(tmp_path):
    with sole_user(tmp_path):
        with pytest.raises(AlreadyRunning, match=f"process {os.getpid()}"):
            with sole_user(tmp_path):
                pytest.fail("two users")
    with sole_user(tmp_path):
        pass


@pytest.mark.parametrize(
    ("host", "url"), [("127.0.0.1", "127.0.0.1"), ("0.0.0.0", "127.0.0.1"), ("::1", r"[::1]")]
)
def test_a_listener_takes_a_free_port_and_knows_its_address(host, url):
    with open_listener(host=host, port=0) as listener:
        _, port = address_of(listener)
        assert port > 0
        assert url_of(listener) == f"http://{url}:{port}"
        socket.create_connection(address_of(listener), timeout=PATIENCE_SECONDS).close()
        with pytest.raises(PortUnavailable, match=f":{port}: Address already in use"):
            open_listener(host=host, port=port)


def test_the_url_is_in_the_folder_while_the_server_runs(tmp_path):
    with open_listener(host="127.0.0.1", port=0) as listener:
        with noted_url(tmp_path, listener):
            assert running_url(tmp_path) == url_of(listener)
        assert running_url(tmp_path) is None
        with noted_url(tmp_path, None):
            assert running_url(tmp_path) is None


def test_an_address_of_another_machine_is_said():
    with pytest.raises(
        PortUnavailable, match=r"^Cannot listen on 192\.0\.2\.1:1: Cannot assign requested address\.$"
    ):
        open_listener(host="192.0.2.1", port=1)
