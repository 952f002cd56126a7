"""Program families: who writes into a mail log, and what the lines say.

A family is a module with a `FAMILY`: the tags its programs log under, the patterns of its
events, and the passes that find the same keys in bulk. To add one, write such a module and
name it below.
"""

from archiver.maillog.facts import Family
from archiver.maillog.programs import qmail

FAMILIES: tuple[Family, ...] = (qmail.FAMILY,)
