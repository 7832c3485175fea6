"""Checkpoints that old versions of frameworks wrote, kept with what those versions computed."""
