"""The face detector: boxes and five landmarks, learnt from a teacher's answers."""
