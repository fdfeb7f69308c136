"""docs/examples/shopify.yaml."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any

from tests.api.scripted import Asked, Reply
from tests.taskflow.examples.play import Play, Record, Simulator, at, iso, parse

_FILTER = re.compile(r"updated_at:>='([^']+)' AND updated_at:<'([^']+)'")


class Shopify(Simulator):
    """A page behind ``page_info`` allows no filter; GraphQL is throttled once, with status 200."""

    def __init__(self) -> None:
        super().__init__()
        self.orders: list[Record] = [
            {"id": 100 + i, "updated_at": iso(at(2, 9) + timedelta(seconds=20 * i))}
            for i in range(60)
        ]
        self.products: list[Record] = [
            {
                "id": f"gid://shopify/Product/{i}",
                "updatedAt": iso(at(2, 9) + timedelta(seconds=20 * i)),
            }
            for i in range(230)
        ]
        self.pages: dict[str, list[Record]] = {}
        self.throttled = 1
        self.most = 8

    def routes(self) -> Mapping[str, Callable[[Asked], Any]]:
        return {
            "/api/2026-10/orders.json": self.list_orders,
            "/api/2026-10/orders/": self.list_transactions,
            "/api/2026-10/graphql.json": self.query,
        }

    def list_orders(self, asked: Asked) -> Reply:
        query = asked.query
        if "page_info" in query:
            if unknown := self.find_unknown(query, "page_info", "limit"):
                return self.refuse(
                    asked, 400, f"{unknown}: cannot be passed when page_info is present"
                )
            rows = self.pages[query["page_info"]]
        else:
            if unknown := self.find_unknown(
                query, "status", "limit", "order", "updated_at_min", "updated_at_max"
            ):
                return self.refuse(asked, 400, unknown)
            since, until = parse(query["updated_at_min"]), parse(query["updated_at_max"])
            rows = [row for row in self.orders if since <= parse(row["updated_at"]) <= until]
        page, rest = rows[: self.most], rows[self.most :]
        links = {}
        if rest:
            info = f"info{len(self.pages)}"
            self.pages[info] = rest
            host = f"http://{asked.headers['Host']}{asked.path}"
            links = {"Link": f'<{host}?page_info={info}&limit={query["limit"]}>; rel="next"'}
        return Reply({"orders": page}, headers=links)

    def list_transactions(self, asked: Asked) -> Reply:
        order = int(asked.path.split("/")[4])
        return Reply(
            {"transactions": [{"id": order * 10 + i, "order_id": order} for i in range(2)]}
        )

    def query(self, asked: Asked) -> Reply:
        variables = asked.json["variables"]
        if unknown := self.find_unknown(variables, "filter", "after"):
            return self.refuse(asked, 200, unknown)
        if self.throttled:
            self.throttled -= 1
            throttled = {"message": "Throttled", "extensions": {"code": "THROTTLED"}}
            return Reply({"errors": [throttled]}, headers={"Retry-After": "0"})
        bounds = _FILTER.fullmatch(variables["filter"])
        if bounds is None:
            return self.refuse(asked, 200, "filter")
        since, until = parse(bounds[1]), parse(bounds[2])
        rows = [row for row in self.products if since <= parse(row["updatedAt"]) < until]
        begin = int(variables.get("after", 0))
        nodes = rows[begin : begin + 100]
        info = {"hasNextPage": begin + 100 < len(rows), "endCursor": str(begin + len(nodes))}
        return Reply({"data": {"products": {"pageInfo": info, "nodes": nodes}}})


def test_orders_transactions_and_products_are_complete(play_example: Play) -> None:
    shopify = Shopify()
    played = play_example(
        "shopify", shopify, since="2026-03-02T09:00:00Z", until="2026-03-02T09:10:00Z"
    )
    assert not shopify.refused
    orders = [row["id"] for row in shopify.orders if parse(row["updated_at"]) < at(2, 9, 10)]
    assert played.ids("orders") == orders
    assert len(orders) == 30
    assert played.ids("transactions") == [order * 10 + i for order in orders for i in range(2)]
    assert len(played.records["products"]) == 30


def test_graphql_pages_follow_and_the_throttled_one_comes_again(play_example: Play) -> None:
    shopify = Shopify()
    shopify.orders = shopify.orders[:1]
    played = play_example(
        "shopify", shopify, since="2026-03-02T09:00:00Z", until="2026-03-02T11:00:00Z"
    )
    assert played.ids("products") == [row["id"] for row in shopify.products]
    assert sum("graphql" in asked.path for asked in played.requests) == 3 + 1
