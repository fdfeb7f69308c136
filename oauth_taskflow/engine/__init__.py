"""Runs one endpoint of a checked spec: parents, windows, pages and stages, ending in one committed output.

``run`` is the entry. It renders templates, reads pages through ``api`` and writes through ``destinations``; it needs
neither Airflow nor a scheduler.
"""
