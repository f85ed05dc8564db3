"""What a bundle's encoders say about clips, kept for training: `FeatureExtraction`."""

from mera_train.features.extract import ExtractionConfig, FeatureExtraction

__all__ = ["ExtractionConfig", "FeatureExtraction"]
