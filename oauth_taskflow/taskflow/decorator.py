"""``@oauth_task`` and ``@task.oauth``: a TaskFlow function that receives an authenticated session at run time."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Coroutine, Iterator, Mapping
from contextlib import AsyncExitStack, ExitStack, contextmanager
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, Protocol, TypeVar, overload

from airflow.providers.common.compat.sdk import task_decorator_factory
from airflow.providers.standard.decorators.python import _PythonDecoratedOperator
from airflow.sdk import XComArg

from oauth_taskflow.taskflow.injection import (
    bind_by_name,
    hide_session_parameters,
    session_parameters,
    unwrap,
)
from oauth_taskflow.taskflow.notices.reconnect_link import RECONNECT_LINKS, KeepReconnect
from oauth_taskflow.taskflow.retry_policy import (
    map_failures,
    set_default_retry_policy,
)

if TYPE_CHECKING:
    from airflow.sdk import Context
    from airflow.sdk.bases.decorator import Task

    from oauth_taskflow.api.aio.session import AsyncOAuthSession
    from oauth_taskflow.api.session import OAuthSession

P = ParamSpec("P")
R = TypeVar("R")

ConnId = str | Mapping[str, str]
DEFAULT_CONN_ID = "oauth2_default"


class OAuthDecoratedOperator(_PythonDecoratedOperator):
    """The operator behind ``@oauth_task``: a Python task whose session parameters are filled when it runs.

    Sessions are in the context during the call only, so that no template, XCom or serialised DAG holds one.

    Args:
        conn_id: the Airflow connection, or one per session parameter; templated.
        session_arg: name of the session parameter when ``conn_id`` is one connection.
    """

    custom_operator_name = "@task.oauth"
    # Rendered in this order: conn_id may read the arguments of a mapped task, as in {{ task.op_kwargs['tenant'] }}.
    template_fields = (*_PythonDecoratedOperator.template_fields, "conn_id")
    operator_extra_links = RECONNECT_LINKS

    def __init__(
        self,
        *,
        conn_id: ConnId = DEFAULT_CONN_ID,
        session_arg: str = "session",
        python_callable: Callable[..., Any],
        **kwargs: Any,
    ) -> None:
        replacement = hide_session_parameters(
            python_callable, list_session_parameters(conn_id, session_arg)
        )
        super().__init__(python_callable=replacement, **kwargs)
        self.conn_id = conn_id
        self.session_arg = session_arg
        set_default_retry_policy(self)
        self._check_names()

    def _check_names(self) -> None:
        expected = session_parameters(self.python_callable)
        named = list_session_parameters(self.conn_id, self.session_arg)
        if sorted(expected) != sorted(named):
            raise TypeError(
                f"Task {self.task_id!r} fills the session parameters {', '.join(expected)}, but its conn_id names "
                f"{', '.join(named)}. Give conn_id in the same form as the decorator has it."
            )

    def execute(self, context: Context) -> Any:
        """Call the function with its sessions. Called by Airflow.

        Raises:
            OAuthTaskflowError: typed errors of connection, token and API; Airflow retries by ``.retryable``.
            ResultRefused: the function returned or pushed a session or a token.
        """
        conn_ids = self._list_conn_ids().values()
        with KeepReconnect(self, conn_ids), map_failures(), self._restore_afterwards(context):
            if self.is_async:  # Airflow calls aexecute on an event loop
                return super().execute(context)
            with self._open_sessions(context):
                return super().execute(context)

    def execute_callable(self) -> Any:
        """Call the function and check its result before Airflow logs it. Called by ``execute``."""
        return self._check_xcom_value(super().execute_callable())

    async def aexecute(self, context: Context) -> Any:
        """Call an ``async def`` function with its sessions. Called by ``execute``; raises as ``execute`` does."""
        from oauth_taskflow.taskflow.sessions import (  # noqa: PLC0415 - loads httpx
            open_async_session,
        )

        async with AsyncExitStack() as stack:
            opened = {
                name: await stack.enter_async_context(await open_async_session(conn_id))
                for name, conn_id in self._list_conn_ids().items()
            }
            self._inject(context, opened)
            return await super().aexecute(context)  # type: ignore[no-untyped-call]  # Airflow's

    async def aexecute_callable(self) -> Any:
        """As ``execute_callable``, for an ``async def`` function."""
        return self._check_xcom_value(await super().aexecute_callable())

    def _check_xcom_value(self, result: Any) -> Any:
        from oauth_taskflow.taskflow.xcom_guard import (  # noqa: PLC0415 - loads requests
            reject_iterator,
            reject_secrets,
        )

        where = f"of task {self.task_id!r}"
        reject_secrets(result, where)
        # A generator function yields asset metadata, which Airflow iterates over itself.
        if self.do_xcom_push and not inspect.isgeneratorfunction(self.python_callable):
            reject_iterator(result, where)
        return result

    @contextmanager
    def _open_sessions(self, context: Context) -> Iterator[None]:
        from oauth_taskflow.taskflow.sessions import open_session  # noqa: PLC0415 - loads requests

        with ExitStack() as stack:
            opened = {
                name: stack.enter_context(open_session(conn_id))
                for name, conn_id in self._list_conn_ids().items()
            }
            self._inject(context, opened)
            yield

    def _inject(self, context: Context, opened: Mapping[str, Any]) -> None:
        """Puts the author's function in the place of its replacement, and the ``opened`` sessions into the context."""
        values: dict[str, Any] = context  # type: ignore[assignment]  # PythonOperator takes arguments from it
        replacement = self.python_callable
        self.op_args, self.op_kwargs = (), bind_by_name(replacement, self.op_args, self.op_kwargs)
        self.python_callable = unwrap(replacement)
        values.update(opened)

    @contextmanager
    def _restore_afterwards(self, context: Context) -> Iterator[None]:
        """Checks pushed values inside the block, and removes the sessions from context and operator at its end.

        Callbacks receive both later. The block also ends when a time-out stops the event loop of an ``async def``
        function, whose own clean-up then never runs.
        """
        from oauth_taskflow.taskflow.xcom_guard import guard_pushes  # noqa: PLC0415 - loads requests

        values: dict[str, Any] = context  # type: ignore[assignment]  # as above
        found = self.python_callable, self.op_args, self.op_kwargs
        try:
            with guard_pushes(context, f"of task {self.task_id!r}"):
                yield
        finally:
            self.python_callable, self.op_args, self.op_kwargs = found
            for name in self._list_conn_ids():
                values.pop(name, None)

    def _list_conn_ids(self) -> Mapping[str, str]:
        if isinstance(self.conn_id, Mapping):
            return self.conn_id
        return {self.session_arg: str(self.conn_id)}


def list_session_parameters(conn_id: ConnId, session_arg: str) -> tuple[str, ...]:
    """The names of the parameters that ``conn_id`` fills.

    Raises:
        TypeError: ``conn_id`` is an empty mapping, or not an id.
    """
    if isinstance(conn_id, Mapping) and not conn_id:
        raise TypeError("conn_id names no connection. Write it as in conn_id={'session': 'crm'}.")
    ids = conn_id.values() if isinstance(conn_id, Mapping) else (conn_id,)
    for one in ids:
        if not isinstance(one, str | XComArg):
            raise TypeError(
                f"conn_id is {one!r}, which is not the id of a connection. Write it as in conn_id='crm', or as in "
                "conn_id={'left': 'crm', 'right': 'erp'} for several."
            )
    return tuple(conn_id) if isinstance(conn_id, Mapping) else (session_arg,)


class TaskMaker(Protocol):
    """The type of ``@oauth_task(...)``: the caller does not pass a session that is the first parameter."""

    @overload
    def __call__(  # type: ignore[overload-overlap]  # a coroutine is an R too; its own overload comes first
        self, function: Callable[Concatenate[AsyncOAuthSession, P], Coroutine[Any, Any, R]], /
    ) -> Task[P, R]: ...

    @overload
    def __call__(self, function: Callable[Concatenate[OAuthSession, P], R], /) -> Task[P, R]: ...

    @overload
    def __call__(self, function: Callable[..., Coroutine[Any, Any, R]], /) -> Task[..., R]: ...

    @overload
    def __call__(self, function: Callable[..., R], /) -> Task[..., R]: ...


class MultiSessionTaskMaker(Protocol):
    """The type of ``@oauth_task(conn_id={...})``: types cannot name the session parameters, so calls are unchecked."""

    def __call__(self, function: Callable[..., R], /) -> Task[..., R]:
        """The task of ``function``."""


@overload
def oauth_task(  # type: ignore[overload-overlap]  # as above
    python_callable: Callable[Concatenate[AsyncOAuthSession, P], Coroutine[Any, Any, R]], /
) -> Task[P, R]: ...


@overload
def oauth_task(python_callable: Callable[Concatenate[OAuthSession, P], R], /) -> Task[P, R]: ...


@overload
def oauth_task(python_callable: Callable[..., Coroutine[Any, Any, R]], /) -> Task[..., R]: ...


@overload
def oauth_task(python_callable: Callable[..., R], /) -> Task[..., R]: ...


@overload
def oauth_task(
    *,
    conn_id: str = ...,
    session_arg: str = ...,
    multiple_outputs: bool | None = ...,
    **kwargs: Any,
) -> TaskMaker: ...


@overload
def oauth_task(
    *,
    conn_id: Mapping[str, str],
    session_arg: str = ...,
    multiple_outputs: bool | None = ...,
    **kwargs: Any,
) -> MultiSessionTaskMaker: ...


def oauth_task(
    python_callable: Callable[..., Any] | None = None,
    *,
    multiple_outputs: bool | None = None,
    **kwargs: Any,
) -> Any:
    """Makes a function an Airflow task that receives an authenticated ``OAuthSession``.

    An ``async def`` function runs on an event loop in the worker and receives an ``AsyncOAuthSession``.

    The session is injected when the task runs; callers do not pass it. Everything else works as with ``@task``:
    ``.override()``, ``.partial().expand()``, setup and teardown, task groups, retries, context keys.

    >>> @oauth_task(conn_id="crm", retries=2)  # doctest: +SKIP
    ... def contacts(session: OAuthSession, since: str) -> list[dict]:
    ...     return session.get("/v3/contacts", params={"since": since}).json()

    Args:
        python_callable: the function.
        multiple_outputs: unroll a returned mapping into one XCom per key; by default the return annotation decides.
        kwargs: ``conn_id``: the Airflow connection, templated (default ``oauth2_default``), or a mapping of parameter
            names to connections; ``session_arg``: name of the session parameter (default ``session``); and any
            argument of an Airflow operator.

    Raises:
        TypeError: the function cannot take a session.
    """
    names = list_session_parameters(
        kwargs.get("conn_id", DEFAULT_CONN_ID), kwargs.get("session_arg", "session")
    )

    def decorate(function: Callable[..., Any]) -> Any:
        # conn_id is passed on only if it was given: otherwise default_args={"conn_id": …} would have no effect.
        return task_decorator_factory(
            python_callable=hide_session_parameters(function, names),
            multiple_outputs=multiple_outputs,
            decorated_operator_class=OAuthDecoratedOperator,
            **kwargs,
        )

    return decorate if python_callable is None else decorate(python_callable)
