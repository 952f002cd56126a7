# What an administrator does, and then the nights: `trial.sh` of booted.sh.
cd /mnt
R=/opt/archiver-test/rsyslog
mkdir -p /etc/archiver /var/archive
cat >/etc/archiver/archiver.toml <<END
schema = 1
[host]
name = "mx1"
timezone = "UTC"
state_dir = "/var/lib/archiver"
spool_dir = "/var/log/.archiver"
[[source]]
name = "maillog"
path = "/var/log/trial.log"
reopen = "pidfile:/run/trial-rsyslogd.pid"
reopen_timeout = "3s"
[storage]
required = 1
[storage.target.local]
type = "local"
path = "/var/archive/mail"
END
cat >/etc/trial-rsyslog.conf <<END
module(load="imuxsock" SysSock.Use="off")
input(type="imuxsock" Socket="/run/trial.sock" RateLimit.Interval="0")
\$ActionFileDefaultTemplate RSYSLOG_TraditionalFileFormat
\$FileOwner daemon
\$FileGroup adm
\$FileCreateMode 0640
mail.* /var/log/trial.log
END
cat >/etc/systemd/system/writer.service <<END
[Service]
Environment=LD_LIBRARY_PATH=$(echo $R/usr/lib/*-linux-*)
ExecStart=$R/usr/sbin/rsyslogd -n -f /etc/trial-rsyslog.conf -i /run/trial-rsyslogd.pid -M $(echo $R/usr/lib/*/rsyslog)
END
chown root:root /var/log; chmod 755 /var/log
archiver service install --systemd --program /usr/local/bin/archiver
archiver service install --timer --program /usr/local/bin/archiver
systemd-sysusers archiver.conf
systemd-tmpfiles --create archiver.conf
for unit in archiver archiver-run; do
    mkdir -p /etc/systemd/system/$unit.service.d
    printf '[Unit]\nDefaultDependencies=no\nWants=\n[Service]\nExecStart=\nExecStart=/usr/local/bin/archiver -v -c /etc/archiver/archiver.toml %s\nStandardOutput=append:/mnt/%s.log\nStandardError=append:/mnt/%s.log\n' \
        "$([ $unit = archiver ] && echo serve || echo 'run --force')" $unit $unit >/etc/systemd/system/$unit.service.d/trial.conf
done
systemctl daemon-reload
systemctl start writer
written() {  # a line to the writer, once it listens, and until it stands in the log
    until logger -u /run/trial.sock -p mail.info -t trial "$1"; do :; done
    until grep -q " $1\$" /var/log/trial.log; do :; done
}
stamp=$(stat -c %U:%G:%a /var/log/trial.log 2>/dev/null)
written first
tail -n 1 /var/log/trial.log >/dev/null
stat -c '%U:%G:%a %n' /var/log/trial.log >before
night() {  # night NAME CAPABILITY: without it
    printf '[Service]\nAmbientCapabilities=\nCapabilityBoundingSet=\nAmbientCapabilities=%s\nCapabilityBoundingSet=%s\n' "$2" "$2" \
        >/etc/systemd/system/archiver-run.service.d/caps.conf
    systemctl daemon-reload
    written "$1"
    echo "== $1" >>archiver-run.log
    systemctl start archiver-run
    echo "$1 $(systemctl show --property=ExecMainStatus --value archiver-run)" >>statuses
}
night no-dac "CAP_CHOWN CAP_KILL CAP_LEASE"
night no-chown "CAP_DAC_OVERRIDE CAP_KILL CAP_LEASE"
night no-kill "CAP_CHOWN CAP_DAC_OVERRIDE CAP_LEASE"
night no-lease "CAP_CHOWN CAP_DAC_OVERRIDE CAP_KILL"
night all "CAP_CHOWN CAP_DAC_OVERRIDE CAP_KILL CAP_LEASE"
written last
stat -c '%U:%G:%a %n' /var/log/trial.log >after
systemctl start archiver; echo "start $?" >>statuses
pid=$(systemctl show --property=MainPID --value archiver)
grep -E 'Uid|Cap|Seccomp:|NoNew' /proc/$pid/status >service.status
systemctl reload archiver; echo "reload $?" >>statuses
until grep -q reloaded serve.log archiver.log 2>/dev/null; do :; done
systemctl stop archiver; echo "stop $(systemctl show --property=ExecMainStatus --value archiver)" >>statuses
archiver fetch --date 2020-01-01..today | sed 's/.* //' | sort | uniq -c >fetched
