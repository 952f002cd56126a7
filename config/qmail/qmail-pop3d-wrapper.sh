#!/bin/sh
# Log who has logged in by POP3, then become qmail-pop3d:
#
#   tcpserver ... qmail-popup HOST checkpassword THIS qmail-pop3d Maildir 2>&1 7>&1 | splogger
#
# checkpassword sets USER once the password was right; tcpserver sets the rest. The line goes to
# descriptor 7, which qmail-popup and checkpassword leave alone; if that is not open, to 2.

user=$USER
case $user in
*[![:print:]]*) user=$(printf %s "$user" | LC_ALL=C tr -c '[:print:]' '?') ;;
esac
( : >&7 ) 2>/dev/null || exec 7>&2

# printf, not echo: some echo make a new line of \n, and a user could forge one. A log that cannot
# be written keeps nobody from his mail.
(
    trap '' PIPE
    printf 'qmail-pop3d: user %s logged in from %s:%s\n' "$user" "$TCPREMOTEIP" "$TCPREMOTEPORT" >&7
) 2>/dev/null
exec "$@" 7>&-
