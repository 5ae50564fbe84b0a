"""Lists that are read page by page: their cursors, their pages, and the documents of these.

Knows none of the apps.
And what is strict everywhere: query parameters, and fields of bodies, that nobody knows are refused.
"""
