"""Fusion: self-supervised multi-task learning over the encoders' answers."""
