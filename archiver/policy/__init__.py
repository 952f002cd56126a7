"""How long archives are kept: rules, holds, decisions, and the ledger that records them.

Everything in here is pure: no clock, no disk, no network. `now` is handed in, and what is known of
archives comes as an `Inventory`, which archiver/retention/gather.py makes from the configuration
and the catalog. Nothing in here destroys anything; archiver/retention does, by these decisions.

`period` and `rules` are the law, `conflicts` says what in it cannot work, `decide` gives the
verdict about one archive, `ledger` is the record of it all, and `questions` answers auditors.
"""
