"""Keeps tokens valid: one store, one refresh at a time, and no rotated refresh token lost.

``open_store`` and ``manager_for`` in ``registry`` are the way in. ``manager`` hands tokens out, ``refresh`` holds the
protocol by which workers get the next one, ``state`` what the store knows of a grant, and ``sql`` the store itself.
"""
