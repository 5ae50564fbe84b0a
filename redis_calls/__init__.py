"""Redis connections that fail at once while Redis is away, one per thread, and Lua scripts."""
