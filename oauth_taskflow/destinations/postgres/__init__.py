"""The ``postgres`` destination: tables that are filled by ``COPY``, and committed with one short transaction.

``options`` is what a spec says, ``destination`` what the engine asks, ``writer`` one attempt at a run's output. psycopg is
imported when a task opens a connection.
"""
