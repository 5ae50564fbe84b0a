"""Files of CSV, of any size, into the store: in bounded memory, resumable, nothing stored twice."""
