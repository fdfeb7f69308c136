"""Readers of response bodies: one module for each format that an API answers in."""
