"""A store in a bucket, on AWS or on any other server that speaks S3.

`store` is the store itself; `upload`, `reading` and `destroying` do the larger parts of its work.
`checked_file` is a file that is sent, `client` the connection with its secrets. `faults` says in an
operator's words what went wrong. `probing` and `trial` try what a server really enforces.

May touch the network, files that are to be stored (to read them), files that hold secrets, and the
clock.
"""
