"""The rules on rows that all stores share: their order, which of them stand, duplicates, corrections, revisions."""
