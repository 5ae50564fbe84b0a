"""Rules for rows that all stores share: order, corrections, duplicates, revisions."""
