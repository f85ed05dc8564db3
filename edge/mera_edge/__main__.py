"""``python -m mera_edge``, where the command itself is not on the path."""

from mera_edge.cli import main

if __name__ == "__main__":
    main()
