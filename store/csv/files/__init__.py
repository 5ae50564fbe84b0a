"""Files and their bytes: durable writes, commit records, parts, rows as CSV, mapped columns, names."""
