"""``OAuth2HttpOperator``: Airflow's ``HttpOperator`` for connections of this package, deferrable too."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.providers.http.operators.http import HttpOperator

from oauth_taskflow.taskflow.http.events import Event, response_from_event
from oauth_taskflow.taskflow.http.hook import OAuth2Hook, make_hook
from oauth_taskflow.taskflow.http.triggers import OAuth2HttpTrigger
from oauth_taskflow.taskflow.notices.reconnect_link import RECONNECT_LINKS, KeepReconnect
from oauth_taskflow.taskflow.retry_policy import (
    map_failures,
    set_default_retry_policy,
)
from oauth_taskflow.taskflow.xcom_guard import guard_pushes, reject_secrets

if TYPE_CHECKING:
    from airflow.sdk import Context
    from requests import Response


class OAuth2HttpOperator(HttpOperator):
    """Calls an API endpoint with a connection of type ``oauth2``, or ``http`` with ``auth_type`` in its extra.

    Arguments are those of ``HttpOperator``; ``auth_type`` is not used, since the connection decides. With
    ``deferrable=True`` the call is made in the triggerer, where the token is resolved. Errors are typed, so that
    permanent ones fail at once and a server's ``Retry-After`` is the delay before the next try
    (https://airflow.apache.org/docs/apache-airflow-providers-http/stable/operators.html).
    """

    operator_extra_links = RECONNECT_LINKS

    def __init__(self, *, http_conn_id: str = "oauth2_default", **kwargs: Any) -> None:
        super().__init__(http_conn_id=http_conn_id, **kwargs)
        set_default_retry_policy(self)

    @property
    def hook(self) -> OAuth2Hook:
        """The hook for the connection, whatever its type."""
        return make_hook(self)

    def execute(self, context: Context) -> Any:
        """Make the call, or defer. Called by Airflow.

        Raises:
            OAuthTaskflowError: typed errors of connection, token and API; Airflow retries by ``.retryable``.
            ResultRefused: the result holds a token or a secret.
        """
        with (
            KeepReconnect(self, [self.http_conn_id]),
            map_failures(),
            guard_pushes(context, f"of task {self.task_id!r}"),
        ):
            return super().execute(context)

    def execute_async(self, context: Context) -> None:  # noqa: ARG002 - HttpOperator's signature
        """Defer to ``OAuth2HttpTrigger``. Called by ``execute``."""
        page = {
            "endpoint": self.endpoint,
            "data": self.data,
            "headers": self.headers,
            "extra_options": self.extra_options,
        }
        self._defer_to_trigger(page, [])

    def execute_complete(  # type: ignore[override]  # pages go through Airflow's database as JSON, not as responses
        self, context: Context, event: Event, paginated_responses: list[Event] | None = None
    ) -> Any:
        """Continue with the event of the trigger. Called by Airflow; raises as ``execute`` does.

        ``paginated_responses`` are the events of the previous pages.
        """
        with (
            KeepReconnect(self, [self.http_conn_id]),
            map_failures(),
            guard_pushes(context, f"of task {self.task_id!r}"),
        ):
            response = response_from_event(event)
            if self.pagination_function is None:
                return self.process_response(context=context, response=response)
            events = [*(paginated_responses or ()), event]
            following = self.pagination_function(response)
            if following:
                page = self._merge_next_page_parameters(following)
                self._defer_to_trigger({name: page[name] for name in _PAGE}, events)
            responses: list[Response] = [response_from_event(one) for one in events]
            return self.process_response(context=context, response=responses)

    def process_response(self, context: Context, response: Response | list[Response]) -> Any:
        """As ``HttpOperator`` does; a result with a secret is refused."""
        result = super().process_response(context=context, response=response)
        return reject_secrets(result, f"of task {self.task_id!r}")

    def _defer_to_trigger(self, page: dict[str, Any], events: list[Event]) -> None:
        trigger = OAuth2HttpTrigger(
            http_conn_id=self.http_conn_id,
            method=self.method,
            request_kwargs=self.request_kwargs,
            **page,
        )
        self.defer(
            trigger=trigger,
            method_name="execute_complete",
            kwargs={"paginated_responses": events},
        )


_PAGE = ("endpoint", "data", "headers", "extra_options")
