"""Instants as people and programs write them: one grammar for queries, bodies and commands.

Knows none of the apps.
"""
