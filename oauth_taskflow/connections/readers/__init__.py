"""Readers turn checked parts of a connection into settings. ``table.AUTH_READERS`` has the reader of each ``auth_type``."""
