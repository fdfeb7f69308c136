"""A real authorization server and API on loopback, for tests, demos and people's own suites."""
