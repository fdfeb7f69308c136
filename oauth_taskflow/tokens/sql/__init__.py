"""The token store in a SQL database: SQLite, PostgreSQL, MySQL or MariaDB.

``store`` implements the protocol of ``tokens.store`` on one ``table``. ``transactions`` repeats what failed while the
database was busy or away, and ``engine`` sets connections up for short and durable transactions.
"""
