"""Says where an error is that no mistake of the catalogue explains."""
