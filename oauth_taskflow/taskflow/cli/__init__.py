"""``airflow oauth``: log in, inspect and end grants, try one endpoint, list provider presets.

``commands`` declares the arguments and is all that every ``airflow`` process loads. Each command is a separate module,
imported when it runs.
"""
