"""The text encoder: corpora, tokenizer, model, training."""
