"""The kinds of key by which lines are found, and the fields of an event that are keys.

Pure, and a module of its own: the configuration needs these names and nothing else.
"""

# The order is that of the bits in an index: never change it, add at the end only.
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
# Which fields are keys, and of what kind. All other fields are only shown.
KIND_OF = {
    "message_id": "message_id",
    "queue_id": "queue_id",
    "new_queue_id": "queue_id",  # of the same message further on, or of its bounce
    "parent_queue_id": "queue_id",  # of the message that this is a bounce of
    "orig_queue_id": "queue_id",  # of the same message before, by the program that passed it on
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
