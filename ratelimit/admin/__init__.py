"""The admin's pages of keys, people and OAuth2 clients. Each module registers its own."""

from ratelimit.admin import access, keys, people

__all__ = ["access", "keys", "people"]
