"""`manage.py` as a shell runs it."""

import os
import subprocess
import sys

from django.conf import settings

READER_GONE = 141


def run(*arguments: str, stdout: int) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "manage.py", *arguments],
        cwd=settings.BASE_DIR,
        env={**os.environ, "DJANGO_SETTINGS_MODULE": "marketdata_project.settings.test"},
        stdout=stdout,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )


def test_a_reader_that_has_gone_ends_a_command_without_a_word():
    reading, writing = os.pipe()
    os.close(reading)
    try:
        done = run("help", stdout=writing)
    finally:
        os.close(writing)
    assert (done.returncode, done.stderr) == (READER_GONE, "")


def test_what_is_read_to_the_end_is_a_success():
    done = run("help", "instrument", stdout=subprocess.PIPE)
    assert (done.returncode, done.stderr) == (0, "")
    assert "--export" in done.stdout
