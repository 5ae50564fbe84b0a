"""The admin's pages for keys, people, access profiles and OAuth2 clients. Each module registers its pages."""

from ratelimit.admin import access, keys, people

__all__ = ["access", "keys", "people"]
