"""The research path: sentiment regression on published utterance features."""
