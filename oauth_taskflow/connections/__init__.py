"""Turns an Airflow-shaped connection into checked, typed settings (``parse.parse_connection``). Imports nothing of Airflow."""
