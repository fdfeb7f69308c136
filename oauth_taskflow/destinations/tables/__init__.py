"""Tables behind a library that takes Arrow: Delta Lake, Iceberg, and every warehouse that dlt writes to.

Records wait on this machine's disk (``spool``) until the pull is complete. Then one transaction of the table takes all of
them, with the manifest in it: a reader sees the run whole or not at all. ``destination`` and ``writer`` are the same for
every kind; a kind adds its options and a ``base.Table``.
"""

from __future__ import annotations
