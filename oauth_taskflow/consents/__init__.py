"""Consents in flight: what a server must still know when the browser of a person comes back.

``record`` is one consent as a value. ``sql`` keeps it in the token store's database, where any of several API servers
finds it, encrypted, and hands it out once.
"""
