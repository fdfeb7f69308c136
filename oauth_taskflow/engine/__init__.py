"""Runs one endpoint of a spec: renders its requests, pulls the pages, writes the records. Knows no Airflow."""
