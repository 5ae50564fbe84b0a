"""Imports CSV files of any size in bounded memory. An import can be resumed and stores no row twice."""
