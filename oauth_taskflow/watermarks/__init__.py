"""Stored watermarks: how far the runs of an endpoint have read, kept in the token store's database.

``state`` and ``partitions`` are pure. ``store`` keeps the states with compare-and-set, and ``run_watermarks`` is the part that
one task instance uses: it reads where to begin, notes a commit before it happens, and settles it afterwards.
"""
