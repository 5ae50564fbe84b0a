"""A machine of one's own whose pages include one that fails."""

from marketdata_project.settings.development import *  # noqa: F403 a settings module extends its base

# Nobody has a password here: what is tried as one need not take half a second each.
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
# What a call costs must not depend on the machine.
PROCESSOR_MS_PER_TOKEN = 0
ROOT_URLCONF = "tests.hostile.failing_views"
