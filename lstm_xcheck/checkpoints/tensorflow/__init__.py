"""TensorFlow checkpoints and SavedModels."""
