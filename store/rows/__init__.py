"""The rules on rows that all stores share: order, corrections, duplicates, revisions."""
