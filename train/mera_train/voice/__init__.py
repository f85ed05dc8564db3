"""The voice encoder: emotion from the tone of voice, independent of the words."""
