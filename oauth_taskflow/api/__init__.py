"""Talking to the API: session, paginators, pull loop, destinations."""
