"""A run: the rooms, the loop that ticks them, and where their events go."""
