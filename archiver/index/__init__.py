"""Indexes beside archives: in which frames, or in which archives, a key may stand.

`pages` is the file format, `spans` says which merged indexes there are; both are pure. `build`
makes an archive's index, `merge` one over 4 to 1024 archives, `rebuild` all of them anew.

It works in the host's work or spool directory, reads and writes indexes on the stores, and notes
them in the catalog. Archives are only read; no clock is. An index is derived: without it a search
takes longer and finds the same lines.
"""
