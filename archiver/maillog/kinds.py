"""What lines can be looked up by, and which fields of an event are that.

Pure, and small: the configuration needs to know the names, and nothing else.
"""

# What lines can be looked up by. The order is that of the bits in an index: never change it.
KINDS = (
    "message_id",
    "queue_id",
    "qp",
    "session",
    "address",
    "domain",
    "user",
    "ip",
    "helo",
)
# Which fields are keys, and of what kind. All other fields only tell.
KIND_OF = {
    "message_id": "message_id",
    "queue_id": "queue_id",
    "new_queue_id": "queue_id",  # of the same message further on, or of its bounce
    "parent_queue_id": "queue_id",  # of the message that this is a bounce of
    "orig_queue_id": "queue_id",  # of the same message before, as who passed it on told
    "qp": "qp",
    "new_qp": "qp",
    "session": "session",
    "sender": "address",
    "recipient": "address",
    "recipients": "address",  # several, with commas between them
    "orig_to": "address",
    "user": "user",
    "ip": "ip",
    "orig_ip": "ip",
    "relay_ip": "ip",
    "helo": "helo",
}
