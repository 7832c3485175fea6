"""The engine: grids, frames, workers that fail in every way, and the totals."""
