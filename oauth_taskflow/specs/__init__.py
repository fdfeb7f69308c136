"""Declarative endpoint specs: YAML to a checked model, without Airflow and without network."""
