"""The speech detector (voice activity detection)."""
