"""What runs the archiver unattended, and what reports on it to people and to monitoring.

`serve` decides every few seconds which job is due (`jobs`), and starts it as a process of its own
(`child`). `reporting` surrounds a verb with pings, hooks, metrics and notifications. `status` and
`hosts` say how things stand. `log` and `sdnotify` speak to syslogd and to systemd.

May read the clock, and touch the state directory, the network and other processes. It changes no
log, archive or copy: the verbs that it starts do that.
"""
