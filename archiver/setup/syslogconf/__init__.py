"""Where syslogd writes mail, according to its own configuration.

    look(root) -> SyslogConfig        read the system below a root; never raises for what it finds
    doubts(reading, paths) -> [Doubt(sentence, remedy)]
                                      what is odd. paths: of the configured sources; () if unknown
    fitted(default, reading) -> str   the archiver's configuration that fits

    reading = look(Path("/"))
    for sentence, remedy in doubts(reading, [source.path for source in config.sources]):
        ...

`reading.daemon` is "" if no syslogd's configuration was found. `reading.mail_logs` are the files
to archive, the fullest first. `reading.reopen` says how their writer is told to open them anew.

Only `look` reads: files, and this machine's name; the rest is pure. FreeBSD's and GNU inetutils'
/etc/syslog.conf (`classic`) and rsyslog's three styles (`rsyslog`, `conditions`) are understood. A
rule that is not is reported as a doubt, never guessed at.
"""

from archiver.setup.syslogconf.doubts import Doubt, doubts
from archiver.setup.syslogconf.fitted import fitted
from archiver.setup.syslogconf.reading import SyslogConfig, look

__all__ = ["Doubt", "SyslogConfig", "doubts", "fitted", "look"]
