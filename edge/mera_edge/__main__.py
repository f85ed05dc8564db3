"""``python -m mera_edge``: the command, if it is not on the PATH."""

from mera_edge.cli import main

if __name__ == "__main__":
    main()
