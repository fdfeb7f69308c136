"""Fakes that tests of several areas share. They load neither Airflow nor a server."""
