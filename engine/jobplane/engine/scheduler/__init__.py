"""What runs next, what is overdue, and what attempts report."""
