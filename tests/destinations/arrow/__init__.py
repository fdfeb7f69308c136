"""Tests of the Arrow room."""
