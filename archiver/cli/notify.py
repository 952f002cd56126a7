"""`archiver notify`."""

import click

from archiver.cli.answer import Answer, Invocation, table, verb
from archiver.errors import UsageError
from archiver.notify import TEST, Event, ask, attempted, ways
from archiver.overview import worst


@click.group(short_help="Try whether people and monitoring would be told.")
def notify() -> None:
    """Who is told of what, [notify] says."""


@notify.command(short_help="Send a test by each way that is configured.")
@verb
def test(invocation: Invocation) -> Answer:
    """Send a mail, call the webhook, and ask for `ping_url/log`, each as far as it is configured.

    Nothing else is done, and nothing is noted. Exit status 3: one of them did not work.
    """
    config = invocation.config()
    settings = config.notify
    event = Event(TEST, config.host.name, "notify test", invocation.now)
    acts = ways(settings, event)
    if settings.ping_url:
        # healthchecks notes that, and does not take it for a run that began or ended.
        acts["ping"] = lambda: ask(settings, "log")
    if not acts:
        raise UsageError(
            f"{config.path}: nobody is to be told: [notify] names neither mail_to, webhook_url "
            "nor ping_url",
            hint="set one of them; see docs/configuration.md",
        )
    problems = {way: attempted(way, act, settings) for way, act in acts.items()}
    rows = [(way, "failed" if problem else "delivered") for way, problem in problems.items()]
    failures = [problem for problem in problems.values() if problem]
    return Answer(
        data={
            "ways": [
                {"way": way, "ok": problem is None, "message": problem and problem.message}
                for way, problem in problems.items()
            ]
        },
        text=table(("WAY", "RESULT"), rows),
        failures=failures,
        exit_status=worst(failures),
    )
