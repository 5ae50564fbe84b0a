"""Imports CSV files of any size: bounded memory, resumable, nothing stored twice."""
