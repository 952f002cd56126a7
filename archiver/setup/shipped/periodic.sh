#!/bin/sh
#
# Daily check of the mail log archives, for periodic(8). In /etc/periodic.conf:
#
#   daily_status_archiver_enable="YES"      # default: NO
#   daily_status_archiver_max_age="26h"     # since the last run that succeeded
#   daily_status_archiver_config="/usr/local/etc/archiver/archiver.toml"
#   daily_status_archiver_command="/usr/local/bin/archiver"
#
# Exit statuses as of periodic(8): 0 all is well, 2 it could not be checked, 3 look at it.

if [ -r /etc/defaults/periodic.conf ]; then
	. /etc/defaults/periodic.conf
	source_periodic_confs
fi

: ${daily_status_archiver_enable:="NO"}
: ${daily_status_archiver_max_age:="26h"}
: ${daily_status_archiver_config:="/usr/local/etc/archiver/archiver.toml"}
: ${daily_status_archiver_command:="/usr/local/bin/archiver"}

case "${daily_status_archiver_enable}" in
[Yy][Ee][Ss])
	echo
	echo "Mail log archives:"
	if [ ! -x "${daily_status_archiver_command}" ]; then
		echo "${daily_status_archiver_command} is missing, or not executable"
		exit 2
	fi
	"${daily_status_archiver_command}" -c "${daily_status_archiver_config}" \
	    status --max-age "${daily_status_archiver_max_age}" 2>&1
	case $? in
	0)	exit 0 ;;
	2|10)	exit 2 ;;
	*)	exit 3 ;;
	esac
	;;
esac
exit 0
