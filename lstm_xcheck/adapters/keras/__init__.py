"""Keras 3 on three backends, and Keras 2 on TensorFlow."""
