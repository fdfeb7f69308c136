"""Chooses and reshapes records as a spec says: ``where`` chooses them, ``fields`` reshapes them.

``options`` and ``trace`` are light and serve the check; ``pipeline`` puts the steps of a run together, one file per step.
"""
