"""The OAuth 2 protocol alone: no Airflow, no files, no store."""
