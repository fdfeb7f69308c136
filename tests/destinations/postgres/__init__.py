"""The destination ``postgres``, on a real server."""
