"""From a recognizer's probabilities to words."""
