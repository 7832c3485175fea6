"""The catalogue of mistakes, and whether each is named."""
