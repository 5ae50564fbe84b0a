"""Settings of `make run` on a developer's machine. The secret key is made once and stored in the data folder."""

import secrets
from pathlib import Path

from django.core.exceptions import ImproperlyConfigured

from marketdata_project.settings.base import *  # noqa: F403 a settings module extends its base
from marketdata_project.settings.base import DATA_DIR, LOGGING
from marketdata_project.settings.environment import env, secret


def _stored_secret(path: Path) -> str:
    """Return the secret in `path`. The first call makes it. If two processes make it at once, both use the same one."""
    if not path.exists():
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        draft = path.with_name(f"{path.name}.{secrets.token_hex(4)}")
        draft.touch(mode=0o600)
        draft.write_text(secrets.token_urlsafe(48))
        try:
            path.hardlink_to(draft)
        except FileExistsError:
            pass
        finally:
            draft.unlink()
    return path.read_text()


# Whether `serve`, with LOAD_SAMPLE, keeps the sample alive.
SAMPLE_FEED = env.bool("SAMPLE_FEED", True)
# Whether `serve` prints a link that logs a browser of this machine in, once.
LOGIN_LINK = env.bool("LOGIN_LINK", True)
# Whether `serve` makes a key if there is none, and prints it.
FIRST_KEY = env.bool("FIRST_KEY", True)
SECRET_KEY = secret("SECRET_KEY")
if SECRET_KEY_IS_OWN := not SECRET_KEY:
    try:
        SECRET_KEY = _stored_secret(DATA_DIR / "secret_key")
    except OSError as _error:
        _reason = "it is a file" if isinstance(_error, FileExistsError) else _error.strerror
        raise ImproperlyConfigured(
            f"DATA_DIR is {DATA_DIR}, and cannot be used: {_reason}. It must be a folder with free space that this user can write."
        ) from _error
# A terminal keeps no evidence, so the hourly line with the head of the audit log is left out.
LOGGING["loggers"]["audit.services"] = {"level": "WARNING"}
