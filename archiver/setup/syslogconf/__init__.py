"""Where syslogd writes mail, according to its own configuration.

`look(root)` reads the system below a root, whatever it finds there; `doubts` says what is odd, and
what to do about it; `fitted` writes the archiver's configuration that fits.

Only `look` reads: files, and this machine's name; the rest is pure. FreeBSD's and GNU inetutils'
/etc/syslog.conf (`classic`) and rsyslog's three styles (`rsyslog`, `conditions`) are understood. A
rule that is not is reported as a doubt, never guessed at.
"""

from archiver.setup.syslogconf.doubts import Doubt, doubts
from archiver.setup.syslogconf.fitted import fitted
from archiver.setup.syslogconf.reading import SyslogConfig, look

__all__ = ["Doubt", "SyslogConfig", "doubts", "fitted", "look"]
