"""Mistakes in real frameworks are caught and named; honest runs are not flagged."""
