"""The schema of records: what is known of their fields, in a form that contract, files and tables share."""

from __future__ import annotations
