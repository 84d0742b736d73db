"""Objects of datastores: what a path of a container holds. Names live in the database alone and never become paths."""
