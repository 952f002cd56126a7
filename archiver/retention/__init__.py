"""Hold, expire, evict: the only package that decides to destroy an archive, and has it done.

`gather` brings together what is known of the archives (the inventory), `hold` keeps those of a
case, `expire` destroys what the rules and an order say, `evict` removes copies that a store keeps
for a shorter time than others do.

It works on a session: it destroys in its stores, and writes to the ledger and the catalog. The
decision itself is pure, in archiver/policy/decide.py. Only the night and the command line may
reach `expire` and `evict`; a contract in pyproject.toml keeps that.
"""
