"""Notifies people about grants before tasks fail, through Airflow's notifiers, and keeps idle grants alive.

``notifier`` is for callbacks of tasks and DAGs, ``maintenance`` the DAG that looks after connections. Both look at a grant with
``grant_watch``, decide with ``watching``, and send with ``delivery``, which serves drift of schemas as well.
"""
