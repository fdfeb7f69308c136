"""``airflow oauth``: log in, inspect and end grants, try one endpoint, list provider presets.

``commands`` declares the arguments and is all that every ``airflow`` process loads. Each command is a module of its own,
imported when it runs.
"""
