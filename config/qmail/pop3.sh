#!/bin/sh
# Start qmail's POP3 service: /usr/local/etc/rc.d/ucspi.sh, or called by it. See README.md here.
: "${HOST:=server.example.org}"
: "${TCPSERVER:=/usr/local/bin/tcpserver}"
: "${CHECKPASSWORD:=/usr/local/bin/checkpassword}"
: "${QMAIL:=/var/qmail/bin}"
: "${ADDRESS:=0}"
: "${PORT:=110}"

"$TCPSERVER" -v -R "$ADDRESS" "$PORT" "$QMAIL/qmail-popup" "$HOST" \
    "$CHECKPASSWORD" "$QMAIL/qmail-pop3d-wrapper.sh" "$QMAIL/qmail-pop3d" Maildir \
    2>&1 7>&1 | "$QMAIL/splogger" pop3d &
