"""The files of a store: durable writes, commit records, parts, rows as CSV, mapped columns, names."""
