"""``OAuth2HttpSensor``: Airflow's ``HttpSensor`` for connections of this package, deferrable too."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import BaseSensorOperator
from airflow.providers.http.sensors.http import HttpSensor
from airflow.sdk.bases.decorator import determine_kwargs

from oauth_taskflow.errors import ApiRequestFailed
from oauth_taskflow.taskflow.http.events import Event, raise_failure
from oauth_taskflow.taskflow.http.hook import make_hook
from oauth_taskflow.taskflow.http.triggers import OAuth2HttpSensorTrigger, is_not_yet
from oauth_taskflow.taskflow.notices.reconnect_link import RECONNECT_LINKS, KeepReconnect
from oauth_taskflow.taskflow.retry_policy import (
    map_failures,
    set_default_retry_policy,
)
from oauth_taskflow.taskflow.xcom_guard import guard_pushes, reject_secrets

if TYPE_CHECKING:
    from airflow.sdk import Context
    from airflow.sdk.bases.sensor import PokeReturnValue


class OAuth2HttpSensor(HttpSensor):
    """Waits until an API endpoint responds with success, and ``response_check``, if given, returns true.

    Arguments are those of ``HttpSensor``. Statuses of ``response_error_codes_allowlist`` (404 unless given) mean
    "not yet"; others fail. With ``deferrable=True`` it waits in the triggerer, where the token is resolved. A
    ``response_check`` cannot run there: with one, the sensor pokes in the worker
    (https://airflow.apache.org/docs/apache-airflow-providers-http/stable/operators.html).
    """

    operator_extra_links = RECONNECT_LINKS

    def __init__(self, *, http_conn_id: str = "oauth2_default", **kwargs: Any) -> None:
        super().__init__(http_conn_id=http_conn_id, **kwargs)
        set_default_retry_policy(self)

    def poke(self, context: Context) -> bool | PokeReturnValue:
        """Call the endpoint once. Called by Airflow.

        Raises:
            OAuthTaskflowError: typed errors of connection, token and API.
        """
        self.log.info("Poking: %s", self.endpoint)
        try:
            response = make_hook(self).run(
                self.endpoint,
                data=self.request_params,
                headers=self.headers,
                extra_options=self.extra_options,
                **self.request_kwargs,
            )
        except ApiRequestFailed as error:
            if is_not_yet(error.status, self.response_error_codes_allowlist):
                return False
            raise
        return self._check_response(response, context)

    def _check_response(self, response: Any, context: Context) -> bool | PokeReturnValue:
        if self.response_check is None:
            return True
        arguments = determine_kwargs(self.response_check, [response], dict(context))
        return self.response_check(response, **arguments)

    def execute(self, context: Context) -> Any:
        """Wait here, or defer. Called by Airflow; raises as ``poke`` does.

        Raises:
            ResultRefused: ``response_check`` returned a token or a secret as the value of a ``PokeReturnValue``.
        """
        with (
            KeepReconnect(self, [self.http_conn_id]),
            map_failures(),
            guard_pushes(context, f"of task {self.task_id!r}"),
        ):
            if not self.deferrable or self.response_check:
                result = BaseSensorOperator.execute(self, context)
                return reject_secrets(result, f"of task {self.task_id!r}")
            if not self.poke(context):
                self._defer_to_trigger()
            return None

    def _defer_to_trigger(self) -> None:
        trigger = OAuth2HttpSensorTrigger(
            http_conn_id=self.http_conn_id,
            method=self.method,
            endpoint=self.endpoint,
            data=self.request_params,
            headers=self.headers,
            extra_options=self.extra_options,
            request_kwargs=self.request_kwargs,
            poke_interval=self.poke_interval,
            not_yet=self.response_error_codes_allowlist,
        )
        self.defer(
            trigger=trigger,
            method_name="execute_complete",
            timeout=timedelta(seconds=self.timeout),
        )

    def execute_complete(self, context: Context, event: Event | None = None) -> None:
        """Continue after the trigger has fired. Called by Airflow; raises the error of the trigger."""
        with KeepReconnect(self, [self.http_conn_id]), map_failures():
            raise_failure(event or {"status": "success"})
        super().execute_complete(context, event)
