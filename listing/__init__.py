"""Lists that are read page by page: their cursors, their pages, and the documents of these.

Knows none of the apps.
"""
