"""Broker mode: the API server refreshes tokens, and a task receives the access token only.

``server`` runs on the API server, behind ``oauth_taskflow.taskflow.secrets_backend.OAuthBroker``. ``client`` and
``token_source`` run in the task. ``protocol`` is what both sides send each other, and imports neither Airflow nor I/O.
"""
