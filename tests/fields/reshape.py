"""Reshapes single records in tests."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from oauth_taskflow.engine.fields_stage import find_record_use
from oauth_taskflow.engine.hidden_values import build_policy
from oauth_taskflow.fields.options import Fields
from oauth_taskflow.fields.pipeline import Pipeline, Tools
from oauth_taskflow.record_values import apply_policy
from oauth_taskflow.templates.render import render_value

HASH_KEY = "a key of sixteen or more"


def build_pipeline(options: Mapping[str, Any], names: Mapping[str, Any] | None = None) -> Pipeline:
    """Returns the steps of ``options``, which are written as in a spec."""
    fields = msgspec.convert(options, Fields)
    pipeline = Pipeline(fields, Tools(render_value, find_record_use, HASH_KEY))
    pipeline.begin(names or {})
    return pipeline


def reshape(record: Any, names: Mapping[str, Any] | None = None, /, **options: Any) -> Any:
    """Returns ``record`` (JSON text, or a value) after the steps ``options``."""
    return msgspec.json.decode(reshape_json(record, names, **options))


def reshape_json(record: Any, names: Mapping[str, Any] | None = None, /, **options: Any) -> str:
    """Returns the same as JSON, to the letter."""
    raw = record.encode() if isinstance(record, str) else msgspec.json.encode(record)
    with apply_policy(build_policy(msgspec.convert(options, Fields))):
        return bytes(build_pipeline(options, names).reshape(msgspec.Raw(raw))).decode()
