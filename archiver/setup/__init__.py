"""Setting the archiver up: what runs before the first night, and beside the nights.

    doctor, checks    examine the host; they read it and the stores, and change nothing but a
                      scratch file in the spool
    syslogconf        read where syslogd writes mail, and fit a configuration to it; reads only
    units, shipped    the texts of the service's files; pure, `cli.service` writes them
    demo              the demonstration: a directory of its own, its own processes, loopback

The clock is read by `demo` alone; the others are given the instant.
"""
