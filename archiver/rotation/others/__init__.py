"""Other rotators of the same log: who they are, and how the files that they leave are taken over.

Their configurations are read as those programs read them: newsyslog.conf, logrotate, cron lines.
It reads files and directories below a root, archives the files that were left through a session,
and notes them in the state directory. It changes nothing that belongs to another rotator.
"""
