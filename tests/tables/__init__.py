"""Tables behind their own library: run by ``scripts/test-services``."""
