"""Request budgets that all tasks, workers and machines share.

``ledger`` and ``slots`` decide and do no I/O, ``sql`` keeps the ledgers in a database, ``gate`` holds requests back in one
process, ``answer_headers`` reads what an API says about its own limits, and ``keeper`` finds the budgets of a request.
"""
