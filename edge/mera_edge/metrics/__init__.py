"""How good answers are: of classes, of words."""
