"""The former module of the triggers: Airflow's database names it for tasks that were deferred before an upgrade."""

from oauth_taskflow.taskflow.http.triggers import OAuth2HttpSensorTrigger, OAuth2HttpTrigger

__all__ = ["OAuth2HttpSensorTrigger", "OAuth2HttpTrigger"]
