"""Processes and connections: serving, Redis, metrics, other hosts, command lines, logs."""
