"""Lua scripts in Redis, one round trip a call."""
