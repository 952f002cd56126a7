"""Hold, expire, evict: the only package that decides to destroy an archive, and has it done.

`gather` makes the inventory, all that is known of the archives; `hold` keeps those of a case;
`expire` destroys what the rules and an order say; `evict` removes copies from stores that keep
them for a shorter time than others do.

It works on a session: it destroys in the session's stores, and writes to its ledger and catalog.
The decision itself is pure, in archiver/policy/decide.py. Only the night and the command line may
reach `expire` and `evict`; a contract in pyproject.toml keeps that.
"""
