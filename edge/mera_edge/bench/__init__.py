"""What the pipeline costs, and how old its answers are."""
