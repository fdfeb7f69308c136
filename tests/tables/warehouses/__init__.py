"""Warehouses behind dlt: what the tests of every kind of table do not ask."""
