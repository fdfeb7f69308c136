"""Rules about destinations."""
