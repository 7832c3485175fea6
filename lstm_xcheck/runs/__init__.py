"""Runs that outlive the process: resumable folders, and recordings."""
