"""Requests to the authorization server and its answers.

``token_endpoint`` sends one grant and names the outcome; ``response`` turns any bytes into an outcome. The other modules
add discovery, introspection, revocation, safe retries and the lifetime of a token. Nothing here knows a store.
"""
