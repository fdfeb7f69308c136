"""Templates in texts: finds the names that they refer to, and renders them in Jinja's sandbox."""
