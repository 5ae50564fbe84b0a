"""The rules on rows that all stores share: order, which rows stand, duplicates, corrections, revisions."""
