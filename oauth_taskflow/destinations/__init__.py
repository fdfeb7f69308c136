"""Where the records of an endpoint go: one module for each kind of destination.

A run's records appear whole or not at all. A destination is asked and not known: the engine calls the protocol of
``base`` and learns neither folders nor files. File formats are in ``formats``.
"""
