"""Files and their bytes, whatever they are for: what durability rests on, rows as CSV, mapped columns."""
