"""The web process begins before Django is set up: its module may import nothing that needs the apps."""

import os
import subprocess
import sys

from django.conf import settings


def test_the_web_process_can_be_imported_before_the_apps():
    environment = {**os.environ, "DJANGO_SETTINGS_MODULE": "marketdata_project.settings.test"}
    program = [sys.executable, "-c", "import front.process"]
    outcome = subprocess.run(
        program, cwd=settings.BASE_DIR, env=environment, capture_output=True, text=True, check=False
    )
    assert outcome.returncode == 0, outcome.stderr
