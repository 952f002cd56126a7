"""From the live log to its sealed and delivered archives, without losing a line.

A log is rotated (`rotate`, when it is `due`), its writer is asked to reopen it and proven to have
let go (`release`), the closed segment is sealed (`seal`) and delivered (`segments`). The state is
the `spool`; each stage recognises its own finished output there. `importing` archives files that
others rotated before us, `others` deals with those who still do.

It may touch the live log, the spool, notes in the state directory, and the processes that write the
log; stores and catalog only through a session. The time is the session's, but for waiting. It uses
no network itself, and never destroys an archive.
"""
