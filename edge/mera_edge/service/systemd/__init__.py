"""A run as a service of systemd: what it tells, its unit, and how that is installed."""
