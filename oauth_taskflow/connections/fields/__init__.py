"""The keys of a connection's ``extra`` as plain data: ``table.FIELDS`` lists all of them."""
