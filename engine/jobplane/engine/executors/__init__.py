"""Where attempts run: in a thread, or in a child process that can be killed."""
