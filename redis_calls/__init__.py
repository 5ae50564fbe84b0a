"""Calls of Lua scripts in Redis, over one connection per thread that fails at once while Redis is unreachable."""
