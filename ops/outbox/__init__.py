"""Events of the database that others must learn of. This app imports none of the apps."""
