"""Where the records of an endpoint go: one module for each kind of destination.

A run's records appear whole or not at all. The engine asks a destination through the protocols of ``base`` and knows
neither folders nor files. To add a kind, write its module and name its options in ``AnyDestination``; file formats are
in ``formats``.
"""

from __future__ import annotations

from oauth_taskflow.destinations.files import FileDestination
from oauth_taskflow.destinations.postgres.options import PostgresDestination
from oauth_taskflow.destinations.python_function import PythonDestination
from oauth_taskflow.destinations.tables.delta_options import DeltaDestination
from oauth_taskflow.destinations.tables.dlt_options import DltDestination
from oauth_taskflow.destinations.tables.iceberg_options import IcebergDestination

# Every kind, as the spec format takes them: ``FileDestination | AnotherDestination``.
AnyDestination = (
    FileDestination
    | PostgresDestination
    | DeltaDestination
    | IcebergDestination
    | DltDestination
    | PythonDestination
)
# The kind of a ``destination`` without ``type``.
DEFAULT_KIND = "file"
