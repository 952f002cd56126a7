r"""Policy services that Postfix asks about each recipient: policyd-spf (Python) and postgrey.

They see the client, the HELO and both addresses before there is a message, so no line of theirs has
a queue id. policyd-spf writes what becomes a header of the message, `Received-SPF:` with pairs that
semicolons end; postgrey writes pairs that commas end.

Traps. The client chooses HELO and envelope sender. In a pair, a value ends where its separator
stands for the first time, and the pairs come in an order of their own: a forged one can only make
the line odd, and of an odd line only the verdict is believed.
"""

from archiver.maillog.facts import Family, events, passes

IP = rb"[0-9A-Fa-f.:]{2,45}"
VALUE = rb"[^\s;]*"
SPF = (
    rb"(?:prepend )?(?:Received-SPF: )?(?P<verdict>[A-Z][A-Za-z]+)"
    rb"(?: \((?:mailfrom|helo|no SPF record|[^()]*)\))?;? identity=(?P<identity>[\w-]+); "
    rb"client-ip=(?P<ip>" + IP + rb"); helo=(?P<helo>" + VALUE + rb"); "
    rb"envelope-from=<?(?P<sender>[^\s;<>]*)>?; receiver=(?P<recipient>[^\s;]*)(?:;.*| ?)"
)
PAIR = rb"[^\s,]*"
GREY = (
    rb"action=(?P<action>\w+)(?:, reason=(?P<reason>[^,=]*))?(?:, delay=(?P<delay>\d+))?"
    rb", client_name=(?P<client>" + PAIR + rb"), client_address=(?P<ip>" + IP + rb")(?:/\d+)?"
    rb"(?:, sender=(?P<sender>" + PAIR + rb"))?(?:, recipient=(?P<recipient>" + PAIR + rb"))?"
)

FAMILY = Family(
    name="policy service",
    tags=frozenset({b"policyd-spf", b"pypolicyd-spf", b"postgrey"}),
    events=events(
        ("checked", SPF),
        ("checked", GREY),
        ("rejected", rb"(?P<code>[45]\d\d [45]\.\d\.\d) (?P<reason>.*)"),
        ("note", rb"(?P<reason>.*)"),
    ),
    passes=passes(
        ("ip", rb"client-ip=([0-9a-f.:]+)"),
        ("ip", rb"client_address=([0-9a-f.:]+)"),
        ("helo", rb"helo=([^\s;]*)"),
        ("address domain", rb"envelope-from=<?([^\s;<>]*)"),
        ("address domain", rb"receiver=([^\s;]*)"),
        ("address domain", rb"(?:sender|recipient)=([^\s,]*)"),
    ),
)
