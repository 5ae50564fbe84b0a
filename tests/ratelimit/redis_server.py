"""A real Redis on a unix socket of its own, to be killed, frozen and restarted."""

import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path

import redis

from ops.serve.embedded_redis import redis_binary
from tests.patience import PATIENCE_SECONDS


class RedisServer:
    def __init__(self) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="rl-", dir="/tmp"))
        self.socket = self._folder / "s"
        self.url = f"unix://{self.socket}"
        self._process: subprocess.Popen[bytes] | None = None
        self._is_disturbed = False

    def start(self) -> None:
        """Start the server; does nothing if it runs."""
        if self._process is not None:
            return
        command = [
            str(redis_binary()),
            "--port",
            "0",
            "--unixsocket",
            str(self.socket),
            "--save",
            "",
            "--daemonize",
            "no",
        ]
        self._process = subprocess.Popen([*command, "--dir", str(self._folder)], stdout=subprocess.DEVNULL)
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not self._answers():
            assert time.monotonic() < deadline, "the Redis did not start"
            time.sleep(0.01)

    def reset(self) -> bool:
        """Empty the server and close all connections. Returns False if it was killed, frozen or configured."""
        if self._is_disturbed or self._process is None:
            return False
        with redis.Redis(unix_socket_path=str(self.socket)) as client:
            if client.config_get("maxmemory") != {"maxmemory": "0"}:
                return False
            client.client_kill_filter(skipme=True)
            client.flushall()
            client.script_flush()
            client.config_resetstat()
        return True

    def kill(self) -> None:
        self._is_disturbed = True
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def freeze(self) -> None:
        assert self._process is not None
        self._is_disturbed = True
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def end(self) -> None:
        self.kill()
        shutil.rmtree(self._folder)

    def _answers(self) -> bool:
        with redis.Redis(unix_socket_path=str(self.socket), retry=None) as client:  # type: ignore[arg-type]
            try:
                return bool(client.ping())
            except redis.RedisError:
                return False


def patience_of(seconds: float) -> dict[str, float]:
    """The options of a cache by which a Redis that does not answer for so long is away."""
    return {"SOCKET_CONNECT_TIMEOUT": seconds, "SOCKET_TIMEOUT": seconds}
