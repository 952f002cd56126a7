"""What the retention rules and holds do to archives, in the stores.

`expire` destroys what the rules no longer keep, and nothing else in this program destroys the last
copy of an archive. `evict` removes copies from stores that keep them for a shorter time, `hold`
brings the holds of the ledger to the stores, and `gather` collects what decisions are made from.
All of them work through a session: its stores (disk or network), its catalog and its ledger. They
read no clock: `session.now` is the time, and `session.doubt` says why it may be wrong. What may be
destroyed is decided in archiver/policy, by pure functions.
"""
