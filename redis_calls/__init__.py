"""Calls to Redis: connections that fail at once while it is away, one of them per thread, and Lua scripts over that."""
