"""The triggers under the path that Airflow's database stores for deferred tasks; every release has this module."""

from oauth_taskflow.taskflow.http.triggers import OAuth2HttpSensorTrigger, OAuth2HttpTrigger

__all__ = ["OAuth2HttpSensorTrigger", "OAuth2HttpTrigger"]
