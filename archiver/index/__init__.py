"""Indexes beside archives: in which frames, or in which archives, a key may stand.

    pages      the file format (pure)
    spans      which merged indexes there are (pure)
    build      an index, made while its archive is written or rebuilt
    merge      merged indexes over 4 to 1024 archives, made from smaller ones
    rebuild    all indexes made anew from the archives

It works in the host's work or spool directory, reads and writes indexes on the stores (so it may
use the network), and notes them in the catalog. Archives are only read. It reads no clock. An
index is derived: without it a search takes longer and finds the same lines.
"""
