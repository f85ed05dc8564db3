"""On-device emotion recognition from voice, words and face."""
