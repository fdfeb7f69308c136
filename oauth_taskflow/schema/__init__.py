"""Building blocks of typed options, which a spec, a preset and Python code share.

The types carry their limits and their documentation, from which the JSON Schema and the reference pages are made.
"""
