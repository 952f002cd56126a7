# A new user's machine: the files of this one, thrown away afterwards, with an empty home and rsyslog
# as Debian configures it. Call: unshare -mpf sh bare_root.sh OUTPUT CHECKOUT STORY
set -e
out=$1 checkout=$2 story=$3
root=$out/root
mkdir "$root" "$out/memory"
mount -t tmpfs tmpfs "$out/memory"
mkdir "$out/memory/up" "$out/memory/work"
mount -t overlay overlay -o "lowerdir=/,upperdir=$out/memory/up,workdir=$out/memory/work" "$root"
mount -t proc proc "$root/proc"
mount --rbind /dev "$root/dev"
mount -t tmpfs tmpfs "$root/run"
mount -t tmpfs tmpfs "$root/root"
mkdir "$root/root/archiver" "$root/opt/story"
cp -r "$checkout/." "$root/root/archiver"
mount -t tmpfs tmpfs "$root/dev/shm"
rm -rf "$root/etc/archiver" "$root/opt/pipx" "$root/var/log/mail.log" "$root/etc/cron.d/archiver"
: >"$root/var/log/mail.log"
chmod 640 "$root/var/log/mail.log"
# Debian's own, as far as mail goes; and logrotate's.
mkdir -p "$root/etc/rsyslog.d" "$root/etc/logrotate.d"
cat >"$root/etc/rsyslog.conf" <<'END'
module(load="imuxsock")
global(net.enableDNS="off")
$ActionFileDefaultTemplate RSYSLOG_TraditionalFileFormat
$FileOwner root
$FileCreateMode 0640
$IncludeConfig /etc/rsyslog.d/*.conf
*.*;auth,authpriv.none;mail.none	-/var/log/syslog
mail.*				-/var/log/mail.log
END
: >"$root/etc/logrotate.conf"
rm -f "$root/etc/logrotate.d/rsyslog"
# No systemd runs here: what it is told is written down.
cat >"$root/usr/local/bin/systemctl" <<'END'
#!/bin/sh
case "$1 $2" in
"show rsyslog.service" | "show rsyslog" | "show -p" | "show --property=MainPID" | "show --property")
	echo "MainPID=$(cat /run/rsyslogd.pid)" ;;
"kill --signal=HUP") kill -HUP "$(cat /run/rsyslogd.pid)" ;;
esac
echo "$*" >>/opt/story/systemctl
END
chmod 755 "$root/usr/local/bin/systemctl"
cp "$story" "$root/opt/story/story.sh"
cat >"$root/opt/story/begin.sh" <<'END'
set -e
modules=$(ls -d /opt/archiver-test/rsyslog/usr/lib/*/rsyslog)
rm -f /dev/log
LD_LIBRARY_PATH=${modules%/*} /opt/archiver-test/rsyslog/usr/sbin/rsyslogd -M "$modules"
while ! [ -s /run/rsyslogd.pid ] || ! [ -S /dev/log ]; do :; done
logger -p mail.info -t postfix/qmgr "a mail of a new user"
while ! grep -q "a mail of a new user" /var/log/mail.log; do :; done
cd /root/archiver
sh -ex /opt/story/story.sh
# And what it is for.
archiver run --force
logger -p mail.info -t postfix/qmgr "and another one"
while ! grep -q "and another one" /var/log/mail.log; do :; done
archiver fetch --date today >/opt/story/fetched
END
chroot "$root" sh /opt/story/begin.sh >"$out/said" 2>&1 || status=$?
cp -r "$root/opt/story" "$out/story"
cp "$root/etc/archiver/archiver.toml" "$out/story/" || true
ls "$root/etc/systemd/system" "$root/usr/local/lib/systemd/system" >"$out/story/units" 2>/dev/null || true
kill "$(cat "$root/run/rsyslogd.pid")"
exit "${status:-0}"
