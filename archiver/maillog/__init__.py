"""Read mail logs: when a line was logged, who wrote it, what it says, and the keys in it.

    clock, days      the time of each line; where a segment is cut into log dates
    record           a line's header and text; programs: the patterns of each program family
    facts, lines     what a line says, by itself or together with the lines before it
    bulk, match      all keys of a frame at once; the lines that somebody looks for
    born, kinds      ids that hold their time of birth; the kinds of key

Pure: it touches no disk, no clock and no network. Log comes in as bytes, and where the time of
writing matters, as a number of seconds.
"""
