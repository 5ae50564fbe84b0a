"""Where the program is: the packages that the contracts of imports are about."""

import tomllib

from django.conf import settings

PACKAGES: tuple[str, ...] = tuple(
    tomllib.loads((settings.BASE_DIR / "pyproject.toml").read_text())["tool"]["importlinter"]["root_packages"]
)
