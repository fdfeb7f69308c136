"""Stored grants as people see and manage them: what the command line and the page share. It prints nothing and knows no FastAPI."""
