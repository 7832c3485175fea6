"""Ports checkpoints between frameworks, with a certificate."""
