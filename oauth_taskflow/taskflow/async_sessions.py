"""Forwards to ``sessions``, where ``open_async_session`` is now; DAG files may import it from here."""

from oauth_taskflow.taskflow.sessions import open_async_session

__all__ = ["open_async_session"]
