"""The client of one API: authenticated sessions, retries, redirects, paging, and what their errors say.

``session`` (on ``requests``) and ``aio`` (on ``httpx``) send requests; ``exchange`` decides for both which response is
final, ``errors`` what it means. The pull loop reads pages and records on top of either session.
"""
