"""DAGs from specs: a checked spec becomes operators, and their tasks run the engine.

``load`` and ``factory`` work while Airflow parses DAG files and must stay light. ``endpoint_task`` works inside tasks,
``local_run`` without a scheduler.
"""
