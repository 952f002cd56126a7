"""From the live log to its sealed and delivered archives, without losing a line.

A log is rotated (`rotate`, when it is `due`), its writer is told and proven to have let go
(`release`), the closed segment is sealed (`seal`) and delivered (`segments`). The `spool` is the
only state; each stage recognises its own finished output there. `importing` brings in what
others rotated before us, `others` looks after those who still do.

It may touch the live log, the spool and processes that write the log; stores only through a
session. It never destroys an archive.
"""
