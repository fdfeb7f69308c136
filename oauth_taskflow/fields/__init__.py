"""What a spec does with the fields of a record: ``where`` chooses records, ``fields`` reshapes them.

``options`` and ``trace`` are light and serve the check; ``pipeline`` puts the steps of a run together, one file per step.
"""
