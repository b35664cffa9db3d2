"""The blocking shell: does what the talks and machines beside it decide."""
