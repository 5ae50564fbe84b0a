"""Commands and Lua scripts in Redis. Each thread has one connection, which fails at once while Redis is unreachable."""
