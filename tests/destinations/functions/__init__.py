"""Functions of authors that load databases, in processes that are killed."""
