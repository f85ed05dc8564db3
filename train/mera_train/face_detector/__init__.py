"""The face detector: boxes and five landmarks, trained on a teacher's predictions."""
