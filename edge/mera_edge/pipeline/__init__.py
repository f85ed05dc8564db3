"""One room: captured sound and pictures in, an event out, tick by tick."""
