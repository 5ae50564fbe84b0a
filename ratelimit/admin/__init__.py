"""The admin's pages for keys, people and access profiles. Each module registers its pages."""

from ratelimit.admin import access, keys, people

__all__ = ["access", "keys", "people"]
