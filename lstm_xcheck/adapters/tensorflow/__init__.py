"""LSTMs of TensorFlow beside Keras: Sonnet, its old cells, its block operators, LiteRT."""
