"""Tests of Delta Lake and Iceberg tables alone."""
