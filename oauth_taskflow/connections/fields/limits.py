"""The keys of ``extra`` that bound one answer of the API; imported by every ``airflow`` command."""

from __future__ import annotations

from oauth_taskflow.connections.fields.field import ConnectionField

LIMIT_FIELDS = (
    ConnectionField(
        "max_answer_bytes",
        "number",
        "Largest answer",
        "Bytes of one answer's decoded body: 268435456 (256 MiB, default) up to 17179869184.",
    ),
    ConnectionField(
        "max_answer_depth",
        "number",
        "Deepest answer",
        "Levels of nesting in one answer's JSON: 256 (default) up to 512.",
    ),
    ConnectionField(
        "max_answer_seconds",
        "number",
        "Longest answer",
        "Seconds until one answer is whole, redirects apart: 900 (default) up to 86400.",
    ),
)
