"""The durable home of jobs: one database is the only truth."""
