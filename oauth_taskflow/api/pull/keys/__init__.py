"""Keys of records: ``dedupe`` drops those whose key came before, ``sort_order`` and ``overlap`` serve paging by a sort key."""
