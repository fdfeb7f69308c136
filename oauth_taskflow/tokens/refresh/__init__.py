"""The refresh protocol: read, lease, re-read, journal, send once, file first, persist on lineage, release.

``refresher`` decides who refreshes and who waits. ``attempt`` does the work under the lease, which ``lease_hold`` prolongs
and ``lease_watch`` observes from other workers. The remaining modules serve single steps.
"""
