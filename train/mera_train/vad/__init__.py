"""The speech detector: whether what is heard is somebody speaking."""
