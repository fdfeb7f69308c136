"""Request budgets that all tasks, workers and machines share.

``ledger`` and ``slots`` decide and do no I/O. ``sql`` keeps the ledgers in a database, and ``gate`` holds requests back in
one process. ``answer_headers`` reads what an API says about its limits, and ``keeper`` finds the budgets of a request.
"""
