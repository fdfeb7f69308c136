"""Keeping tokens valid: store, lease and manager.

``open_store`` and ``manager_for`` (in ``registry``) are the way in.
"""
