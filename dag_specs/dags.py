"""Every spec of this folder as an Airflow DAG."""

from oauth_taskflow import load_specs

load_specs(globals(), "dag_specs/")
