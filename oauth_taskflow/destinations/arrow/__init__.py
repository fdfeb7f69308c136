"""Records as Arrow tables: one converter for Parquet, Arrow files, lakes and every destination that takes tables.

``converter.TableBuilder`` turns records into tables, block by block, under one schema that grows with them.
``types`` translates a ``RecordSchema`` into an Arrow schema and back, ``widening`` brings a table to a wider schema,
``reading`` turns a table into records again. These modules import pyarrow (extra ``parquet``): import them when a
destination is opened, never before.

| Record field | Arrow type |
|---|---|
| boolean, integer, number, text | bool, int64, float64, string |
| timestamp, date (declared only) | timestamp[us, tz=UTC], date32 |
| decimal: digits that neither int64 nor float64 holds | string with the digits |
| json: types without another union | string with the JSON text |
| list, object | list, struct; an object without fields is JSON text |
| only nulls | string |
"""

from __future__ import annotations
