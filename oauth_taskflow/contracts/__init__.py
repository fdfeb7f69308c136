"""Requirements on records: contracts about their schema, and checks of their values. No Airflow, no network, no files."""

from __future__ import annotations
