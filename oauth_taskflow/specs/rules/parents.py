"""Rules about parents."""
