"""Queries: one filter grammar, orders, pages and their tokens; no I/O."""
