"""Properties of the package on whatever its own Hypothesis strategies draw."""
