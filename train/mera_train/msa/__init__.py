"""Multimodal sentiment analysis: the reference method and its rivals, on feature files."""

from mera_train.msa.run import MSA_run, get_config

__all__ = ["MSA_run", "get_config"]
