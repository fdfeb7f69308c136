"""Pulls pages one after the other and prints figures. Started by ``budget.py``.

Arguments: the API's base URL, a folder for the budgets, the requests allowed in a second (0 for no budget).
"""

from __future__ import annotations

import json
import sys
import time
from importlib.metadata import version

from oauth_taskflow.api.options import PageNumberPaginator, RateLimit
from oauth_taskflow.api.session import OAuthSession
from oauth_taskflow.budgets.keeper import Budgets, BudgetSet
from oauth_taskflow.budgets.sql import open_budget_store


def main() -> None:
    url, folder, requests = sys.argv[1], sys.argv[2], int(sys.argv[3])
    limits = (RateLimit(requests=requests),) if requests else ()
    store = f"sqlite:///{folder}/budgets.db"
    budgets = Budgets(lambda: open_budget_store(store), BudgetSet("benchmark", limits))
    paginate = PageNumberPaginator(size=100, size_param="limit", prefetch=0)
    with OAuthSession(url, budgets=budgets) as session:
        began, cpu = time.perf_counter(), time.process_time()
        rows = sum(1 for _ in session.paginate("/pages", paginate=paginate, records="data"))
        figures = {"seconds": time.perf_counter() - began, "cpu": time.process_time() - cpu}
    versions = {"oauth-taskflow": version("oauth-taskflow")}
    print(json.dumps({**figures, "rows": rows, "versions": versions}))


if __name__ == "__main__":
    main()
