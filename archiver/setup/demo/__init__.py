"""The demonstration, `archiver demo`.

    play        the story: runs the real commands, shows them, and checks what it claims
    s3_server   the part with a bucket: a real S3 server on loopback
    syslogd     stands in for a syslogd, as a program of its own
    lifelike    makes the logs; pure, and also used by tests and benchmarks

It writes only into its own directory, starts processes, and ends those that would go on. No
network but loopback. `play` reads the clock, since its month ends today.
"""
