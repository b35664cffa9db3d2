"""Other systems on the same no-op work: one module each, run in an environment of its own."""
