"""Other rotators of the same log: who they are, and taking over what they leave.

Their configurations are read as those programs read them: newsyslog.conf, logrotate, cron lines.
It reads files and directories below a root, and archives what was left through a session; it
changes nothing that belongs to another rotator.
"""
