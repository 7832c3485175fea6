"""The Keras layers behind the adapter: how they are made, named and chained."""
