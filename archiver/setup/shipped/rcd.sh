#!/bin/sh
#
# PROVIDE: archiver
# REQUIRE: FILESYSTEMS NETWORKING syslogd
# KEYWORD: shutdown
#
# The service that rotates and archives mail logs. In /etc/rc.conf:
#
#   archiver_enable="YES"      # default: NO
#   archiver_config="/usr/local/etc/archiver/archiver.toml"
#   archiver_command="/usr/local/bin/archiver"
#
# Commands besides start, stop, restart and status: configtest, reload.

. /etc/rc.subr

name="archiver"
desc="Rotate and archive mail logs"
rcvar="archiver_enable"

load_rc_config "$name"
: ${archiver_enable:="NO"}
: ${archiver_config:="/usr/local/etc/archiver/archiver.toml"}
: ${archiver_command:="/usr/local/bin/archiver"}

# daemon(8) restarts the service when it ends, and sends its output to syslog, facility daemon:
# never into the mail log that is archived.
pidfile="/var/run/archiver-supervisor.pid"
child_pidfile="/var/run/archiver.pid"
command="/usr/sbin/daemon"
command_args="-P ${pidfile} -p ${child_pidfile} -r -R 10 -S -T archiver ${archiver_command} -c ${archiver_config} serve"
required_files="${archiver_config}"

extra_commands="configtest reload"
start_precmd="archiver_configtest"
restart_precmd="archiver_configtest"
configtest_cmd="archiver_configtest"
reload_cmd="archiver_reload"

archiver_configtest()
{
	"${archiver_command}" -q -c "${archiver_config}" config validate
}

# HUP goes to the child: daemon(8) would swallow it.
archiver_reload()
{
	if [ -z "${rc_pid}" ]; then
		warn "${name} is not running."
		return 1
	fi
	archiver_configtest || return 1
	kill -HUP "$(cat "${child_pidfile}")"
}

run_rc_command "$1"
