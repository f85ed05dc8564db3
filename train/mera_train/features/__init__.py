"""Features of clips from a bundle's encoders, for training: `FeatureExtraction`."""

from mera_train.features.extract import ExtractionConfig, FeatureExtraction

__all__ = ["ExtractionConfig", "FeatureExtraction"]
