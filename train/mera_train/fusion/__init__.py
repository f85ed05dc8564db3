"""Fusion: self-supervised multi-task learning on the encoders' outputs."""
