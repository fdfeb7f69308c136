"""Single HTTP calls from tasks: the hook, the operator, the sensor and the triggers they defer to.

``call`` describes one call as JSON and makes it. ``events`` turns its response, or the error it ended with, into JSON that
Airflow stores. ``connection_check`` is behind Airflow's "Test" button.
"""
