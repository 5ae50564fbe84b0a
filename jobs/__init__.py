"""Jobs: work that may outlast a request. A job is a row in the database, which a worker claims."""
