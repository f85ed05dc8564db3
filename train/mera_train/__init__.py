"""Data, features and training, in full precision."""
