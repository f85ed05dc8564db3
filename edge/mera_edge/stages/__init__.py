"""One stage per modality, and their fusion."""
