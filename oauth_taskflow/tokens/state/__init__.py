"""The state of one grant as immutable values, and every way it changes as pure functions. No I/O.

``record`` is what the store keeps; ``transitions`` and ``answer_transitions`` are functions from record to record that a
store applies atomically. The other modules decide whether a record is fresh, whether a failure blocks requests, when
the consent ends, and whether a 401 may force a refresh.
"""
