"""Multimodal sentiment analysis on feature files: the reference method and its competitors."""

from mera_train.msa.run import MSA_run, get_config

__all__ = ["MSA_run", "get_config"]
