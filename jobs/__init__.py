"""Jobs: work that may outlast a request. A job is a row in the database; Celery only carries its id to a worker."""
