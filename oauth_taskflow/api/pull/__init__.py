"""Reading the pages of an API: one request sequence, from the first request to the last record.

``loop`` (and ``aio`` on an event loop) sends requests, ``page_judge`` decides whether a response is a page, ``selector``
finds its records, ``sequence`` decides what comes next. ``keys`` and ``watermark`` look at the records on their way.
``in_flight`` bounds the requests that are sent at once, ``caps`` reads what an API does not show of one request.
"""
