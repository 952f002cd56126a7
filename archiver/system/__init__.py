"""What is needed of the operating system, by every layer above; nothing here knows of logs.

    files       durable writes, and the lock; touches the disk
    programs    call another program with a time limit; starts processes
    workers     Python objects in processes of their own; starts processes
    streams     cut a byte stream into frames; pure
    zone        dates and instants; pure, but that `zone_named` reads the system's zone files

No network. The only clock is the monotonic one by which `programs` measures its limit.
"""
