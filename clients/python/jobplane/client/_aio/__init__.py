"""The shell for asyncio: does what the talks and machines beside it decide."""
