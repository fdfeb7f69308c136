"""Names under which values in the request of a spec are secrets."""

from __future__ import annotations

from functools import lru_cache

from oauth_taskflow.redaction import is_sensitive_name

# Where names are the API's, so that a secret-looking name means a secret value.
NAMED_VALUES = ("params", "headers", "json", "form")
# Sensitive in an OAuth exchange; in an API's own parameters a country or a project.
_ORDINARY = frozenset({"code", "key"})


@lru_cache(maxsize=4096)
def names_secret(name: str) -> bool:
    """Whether a parameter, header or field of this name usually holds a secret."""
    return name.lower() not in _ORDINARY and is_sensitive_name(name)
