"""Live streams of events: replay from a cursor, then live, until an end that is said."""
