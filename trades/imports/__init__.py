"""Imports files of any size in bounded memory. An import that is repeated stores no row twice."""
