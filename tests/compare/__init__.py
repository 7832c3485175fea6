"""The judge: every verdict, and what its reason says."""
