"""From a process into the database: files of sealed lines, and what takes them in."""
