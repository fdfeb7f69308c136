"""Keeps tokens valid: one store, one refresh at a time, and no rotated refresh token lost.

``open_store`` and ``manager_for`` in ``registry`` are the way in, and ``manager`` hands tokens out. ``refresh`` holds the
protocol by which workers get the next token, ``state`` the record of a grant and its changes, and ``sql`` the store.
"""
