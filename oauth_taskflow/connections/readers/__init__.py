"""Readers: checked field values → settings. ``table.AUTH_READERS`` has the reader of each ``auth_type``."""
