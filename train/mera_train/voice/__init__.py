"""The voice encoder: how something is said, whatever the words."""
