"""Evaluation of models on labelled examples."""
