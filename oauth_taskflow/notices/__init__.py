"""Notices about grants to people, and which of them were sent, kept in the token store's database.

``trouble``, ``sent`` and ``notice`` are pure: what is wrong with a grant, which notice is next, and its text. ``store`` lets
one worker send each notice, and remembers it afterwards.
"""
