"""Tables behind a library of their own: run by ``scripts/test-services``."""
