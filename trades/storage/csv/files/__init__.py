"""Files and their bytes, whatever they are for: durable appends, rows as CSV, mapped columns."""
