"""Where syslogd writes mail, as its own configuration says.

    look(root) -> Reading             read the system below a root; never raises for what it finds
    doubts(reading, paths) -> [(sentence, remedy)]
                                      what is odd. paths: of the configured sources; () if unknown
    fitted(default, reading) -> str   the configuration that fits

    reading = look(Path("/"))
    for sentence, remedy in doubts(reading, [source.path for source in config.sources]):
        ...

`reading.daemon` is "" where no syslogd's configuration was found; `reading.mail_logs` are the
files to archive, the fullest first; `reading.reopen` is how their writer is told.

Everything but `reading.look` is pure. FreeBSD's and GNU inetutils' /etc/syslog.conf (`classic`) and
rsyslog's three styles (`rsyslog`, `conditions`) are read; a rule that is not understood is a
doubt, never a guess.
"""

from archiver.setup.syslogconf.doubts import Doubt, doubts
from archiver.setup.syslogconf.fitted import fitted
from archiver.setup.syslogconf.reading import SyslogConfig, look

__all__ = ["Doubt", "SyslogConfig", "doubts", "fitted", "look"]
