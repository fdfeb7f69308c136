"""Keeping tokens valid: store, lease and manager."""
