"""The printable notice for the people in the room."""
