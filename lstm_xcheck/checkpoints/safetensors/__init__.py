"""`.safetensors` files, one or many."""
