"""Rules about paging."""
