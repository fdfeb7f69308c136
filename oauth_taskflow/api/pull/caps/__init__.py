"""Reads past the cap of an API, which shows only so many rows of one request.

``watch`` notices that a cap is reached, ``walk`` asks again from the last record on, ``past_cap`` pulls so for sessions.
"""
