"""The `jobplane` command."""
