"""The judge: verdicts and their reasons."""
