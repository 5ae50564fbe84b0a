"""Lists that are read page by page: filters, keyset pagination, sealed cursors. Imports none of the apps."""
