"""Settings of the test suite: a data folder per test process; Redis only where a test starts one."""

import os
import tempfile
from pathlib import Path

# Processes that a test starts inherit the folder; pytest's workers must not share one.
_process = os.environ.get("PYTEST_XDIST_WORKER", "main")
if os.environ.get("TEST_DATA_OF") != _process:
    os.environ["TEST_DATA_OF"] = _process
    os.environ["DATA_DIR"] = tempfile.mkdtemp(prefix="marketdata-test-", dir="/tmp")

from marketdata_project.settings.base import *  # noqa: E402, F403 a settings module extends its base
from marketdata_project.settings.base import BASE_DIR, DATABASES  # noqa: E402
from marketdata_project.settings.environment import env  # noqa: E402

REAL_DATA = Path(env.str("REAL_DATA", str(BASE_DIR.parent / "shared" / "data")))

if DATABASES["default"]["ENGINE"] == "ops.postgresql":
    DATABASES["default"]["ENGINE"] = "tests.postgresql_of_tests"

SECRET_KEY = "for-tests-only"  # noqa: S105
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]

# All tests call from one address, so its limit must be high.
ADDRESS_RATE = 1_000_000
LOGIN_RATE = 1_000_000
LOGIN_FREE_FAILURES = 1_000_000
# What a call costs must not depend on the machine.
PROCESSOR_MS_PER_TOKEN = 0

# Each test client makes new middlewares. With this, WhiteNoise finds static files on request, without listing them all.
WHITENOISE_AUTOREFRESH = True
