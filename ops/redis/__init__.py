"""Redis: the client of Django's cache, and Lua scripts. Each thread has one connection, which fails at once while Redis is unreachable."""
