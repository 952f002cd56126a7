"""`archiver demo`."""
