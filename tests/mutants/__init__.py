"""Mistakes made by real frameworks: each must be caught and named, and nothing honest may be flagged."""
