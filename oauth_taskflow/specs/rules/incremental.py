"""Rules about incremental."""
