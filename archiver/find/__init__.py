"""Find lines and give them back: from the archives, the spool and the live log, each line once.

    snapshot   what there is of a source at one moment, and the lines of a time window in it
    lookup     which archives and frames may hold a key, by asking the indexes
    search     the lines with a key or a text, and their neighbours
    address    a configuration made from the address of a store alone

It only reads: the live log and the spool on this host's disk, the catalog, and the stores (so it
may use the network). `now` is given to it; it reads no clock.
"""
