"""One's own labelled examples: read, divided by person, learnt from, compared with the shipped."""
