"""``OAuth2Hook``: Airflow's ``HttpHook`` for connections of type ``oauth2``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import AirflowException
from airflow.providers.http.hooks.http import HttpHook
from requests import Response
from requests.adapters import HTTPAdapter

from oauth_taskflow.api.adapter import BoundedAdapter
from oauth_taskflow.api.errors import combine_classes
from oauth_taskflow.api.session import OAuthSession
from oauth_taskflow.errors import ApiRequestFailed
from oauth_taskflow.taskflow.connection_lookup import load_settings
from oauth_taskflow.taskflow.grants.connection_check import try_connection
from oauth_taskflow.taskflow.sessions import resolve_base_url, session_for

if TYPE_CHECKING:
    from airflow.providers.http.operators.http import HttpOperator
    from airflow.providers.http.sensors.http import HttpSensor


class OAuth2Hook(HttpHook):
    """Calls an API with a connection of type ``oauth2``, or ``http`` with ``auth_type`` in its extra.

    ``OAuth2Hook(http_conn_id="crm", method="GET").run("/v3/contacts")`` works as with ``HttpHook``, from tasks, from
    ``HttpOperator`` and from plain scripts. No key of the connection's extra becomes a request header; ``api_headers``
    holds the headers for the API. ``auth_type`` is accepted for compatibility and ignored: the connection decides.

    Args of ``HttpHook`` (https://airflow.apache.org/docs/apache-airflow-providers-http/stable/) are the same.
    """

    conn_name_attr = "http_conn_id"
    default_conn_name = "oauth2_default"
    conn_type = "oauth2"
    hook_name = "OAuth 2.0"

    def __init__(
        self, method: str = "POST", http_conn_id: str = default_conn_name, *args: Any, **kwargs: Any
    ) -> None:
        super().__init__(method, http_conn_id, *args, **kwargs)

    def get_conn(
        self, headers: dict[Any, Any] | None = None, extra_options: dict[str, Any] | None = None
    ) -> OAuthSession:
        """An authenticated session; ``headers`` are sent with each of its requests.

        Raises:
            ConnectionConfigError: the connection is missing or wrong.
            TokenStoreError: tokens cannot be kept safely.
        """
        settings = load_settings(self.http_conn_id)
        session = session_for(settings)
        self._use_base_url(session.base_url, hidden=bool(settings.url_secrets))
        self.merged_extra = {**settings.http_options, **(extra_options or {})}
        _apply_options(session, self.merged_extra)
        adapter = self._choose_adapter()
        if adapter is not None:
            for scheme in ("http://", "https://"):
                session.mount(scheme, adapter)
        session.headers.update(self.default_headers)
        session.headers.update(headers or {})
        return session

    def _choose_adapter(self) -> HTTPAdapter | None:
        """The adapter of the arguments; None leaves that of the session."""
        if self.adapter is not None or self.keep_alive_adapter is None:
            return self.adapter
        # The adapter of ``HttpHook`` itself would accept headers that are cut off, and know no deadline.
        return BoundedAdapter(socket_options=self.keep_alive_adapter.socket_options)

    def _use_base_url(self, url: str, *, hidden: bool) -> None:
        self.base_url = url
        self._base_url_initialized = True
        self._hides_base_url = hidden

    def url_from_endpoint(self, endpoint: str | None) -> str:
        """The absolute URL of ``endpoint``. An absolute URL, such as a next link, is returned unchanged.

        The session refuses URLs of other origins. Below a base URL with a secret in it, the URL stays relative: ``HttpHook``
        logs it, and the session completes it.
        """
        if "://" in (endpoint or "").partition("?")[0]:
            return endpoint or ""
        if not self._base_url_initialized:
            settings = resolve_base_url(load_settings(self.http_conn_id))
            self._use_base_url(settings.base_url, hidden=bool(settings.url_secrets))
        if self._hides_base_url:
            return endpoint or ""
        return super().url_from_endpoint(endpoint)

    def check_response(self, response: Response) -> None:
        """Raise for a 4xx or 5xx answer.

        Raises:
            ApiRequestFailed: with ``.status`` and ``.retryable``. It is an ``AirflowException`` too, because
                ``HttpHook`` raises that class (and logs the whole body).
        """
        try:
            response.raise_for_status()
        except ApiRequestFailed as error:
            error.__class__ = combine_classes(type(error), AirflowException)
            raise

    def test_connection(self) -> tuple[bool, str]:
        """Whether the connection can get a token, and one sentence about it. Airflow's "Test" button calls this."""
        return try_connection(self.http_conn_id)


def _apply_options(session: OAuthSession, options: dict[str, Any]) -> None:
    """Sets the options of one ``HttpHook.run`` that ``HttpHook`` keeps on the session."""
    session.proxies.update(options.get("proxies") or options.get("proxy") or {})
    session.stream = options.get("stream", session.stream)
    session.verify = options.get("verify", options.get("verify_ssl", session.verify))
    session.cert = options.get("cert", session.cert)
    session.max_redirects = options.get("max_redirects", session.max_redirects)


def make_hook(task: HttpOperator | HttpSensor) -> OAuth2Hook:
    """The hook with the arguments of ``task``."""
    return OAuth2Hook(
        method=task.method,
        http_conn_id=task.http_conn_id,
        tcp_keep_alive=task.tcp_keep_alive,
        tcp_keep_alive_idle=task.tcp_keep_alive_idle,
        tcp_keep_alive_count=task.tcp_keep_alive_count,
        tcp_keep_alive_interval=task.tcp_keep_alive_interval,
    )
