"""Uploads: files of rows of any size, sent in pieces and imported by a job."""
