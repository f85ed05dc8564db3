"""The machine: board, load and sensors."""
