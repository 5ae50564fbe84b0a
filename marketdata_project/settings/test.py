"""The test suite: a data folder of its own per run, Redis where a test starts one."""

import os
import tempfile

os.environ.setdefault("DATA_DIR", tempfile.mkdtemp(prefix="marketdata-test-", dir="/tmp"))

from marketdata_project.settings.base import *  # noqa: F403 a settings module extends its base

SECRET_KEY = "for-tests-only"  # noqa: S105
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
