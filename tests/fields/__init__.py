"""Tests of filters and of what is done with the fields of records."""
