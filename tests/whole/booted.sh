# A machine of its own: a real systemd as process 1 of new namespaces, on a copy of this one's files
# that is thrown away. Call: unshare -mpCui --fork sh booted.sh REPOSITORY OUTPUT PYTHON TRIAL
set -e
top=$1 out=$2 python=$3 trial=$4
root=$out/root
mkdir "$root" "$out/memory"
mount -t tmpfs tmpfs "$out/memory"
mkdir "$out/memory/up" "$out/memory/work"
mount -t overlay overlay -o "lowerdir=/,upperdir=$out/memory/up,workdir=$out/memory/work" "$root"
mount -t proc proc "$root/proc"
mount -t sysfs sysfs "$root/sys"
mkdir -p "$root/sys/fs/cgroup" "$root/opt/here" "$root/mnt"
mount -t cgroup2 cgroup2 "$root/sys/fs/cgroup"
mount -t tmpfs tmpfs "$root/run"
mount --rbind /dev "$root/dev"
mount --bind "$top" "$root/opt/here"
mount --bind "$out" "$root/mnt"
: >"$out/console"
mount --bind "$out/console" "$root/dev/console"
packages=$(cd "$top" && ls -d .venv/lib/python*/site-packages)
cat >"$root/usr/local/bin/archiver" <<END
#!/bin/sh
export PYTHONPATH=/opt/here:/opt/here/$packages PYTHONDONTWRITEBYTECODE=1
exec $python -m archiver "\$@"
END
chmod 755 "$root/usr/local/bin/archiver"
cat >"$root/etc/systemd/system/trial.service" <<END
[Service]
Type=oneshot
ExecStart=/bin/sh -x /mnt/trial.sh
StandardOutput=file:/mnt/trial.out
StandardError=file:/mnt/trial.err
ExecStopPost=+/bin/systemctl --force --force --no-block exit
END
cp "$trial" "$out/trial.sh"
export container=unshare
exec chroot "$root" /lib/systemd/systemd --unit=trial.service --log-target=console
