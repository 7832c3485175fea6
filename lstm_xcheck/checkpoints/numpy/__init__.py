"""NumPy `.npz` files: canonical form, Haiku and MLX."""
