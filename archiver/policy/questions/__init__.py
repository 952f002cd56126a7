"""What an auditor asks about a mail log, and the answers, from what is known of its archives.

Pure: no clock, no disk, no network. Each question is a function of an `Inventory` and of what was
`Asked`; each answer is a `Reply`: a sentence and a table, so that one command gives every answer as
text, as CSV and as JSON. `days`, `keeping` and `copies` hold the questions, by subject.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from archiver.policy.inventory import Inventory
from archiver.policy.questions import copies, days, keeping
from archiver.policy.questions.reply import Asked, Reply

__all__ = ["QUESTIONS", "Asked", "Question", "Reply"]


@dataclass(frozen=True)
class Question:
    """text: as an auditor asks it. of_acts: it needs the ledger's orders and certificates."""

    text: str
    answer: Callable[[Inventory, Asked], Reply]
    of_acts: bool = False


QUESTIONS: Mapping[str, Question] = {
    "complete": Question("Is every day from A to B present?", days.complete),
    "empty": Question("Which days are empty, and is that proven?", days.empty),
    "expiring": Question("What expires in the next N days?", keeping.expiring),
    "overdue": Question("What is past its maximum but still kept, and why?", keeping.overdue),
    "held": Question("What is under hold, by whom, since when?", keeping.held),
    "governing": Question("Which policy governed day X when it was stored?", days.governing),
    "policy-changes": Question("Who changed the policy, when, and what?", keeping.policy_changes),
    "deletions": Question("What was deleted, under what authority?", keeping.deletions, True),
    "below-minimum": Question("Is anything below its legal minimum?", keeping.below_minimum, True),
    "locks": Question("Does the lock on the store equal the policy?", copies.locks),
    "verified": Question("When was each object last verified?", copies.verified),
    "readers": Question("Who read or exported day X?", copies.readers),
    "copies": Question("How many copies, where, encrypted with which key?", copies.places),
    "readable": Question("How long does it take from request to readable?", copies.readable),
    "proof": Question("Prove that a message of day X was not altered.", copies.proof),
}
