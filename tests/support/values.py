"""A policy for values of records."""

from __future__ import annotations

from oauth_taskflow.record_values import ValuePolicy

HIDE_ALL = ValuePolicy(lambda _: False)
