"""`archiver notify`."""

import click

from archiver.cli.answer import Answer, Invocation, table, verb
from archiver.errors import UsageError
from archiver.service import metrics, notify


@click.group("notify", short_help="Try whether anybody would be told.")
def notify_() -> None:
    """Who is told how runs go is set in `[notify]` and `[metrics]`."""


@notify_.command(short_help="Send a test in each way that is configured.")
@verb
def test(invocation: Invocation) -> Answer:
    """Send a mail, call the webhook, ask for `ping_url/log`, and write the metrics' textfile; each
    as far as it is configured. Exit status 3: one of them did not work.
    """
    config = invocation.config()
    settings = config.notify
    event = notify.Notice(notify.TEST, config.host.name, "notify test", invocation.now)
    ways = notify.ways(settings, event)
    if settings.ping_url:
        # healthchecks notes that, and does not take it for a run that began or ended.
        ways["ping"] = lambda: notify.ask(settings, "log")
    told = {way: notify.attempted(way, act, settings) for way, act in ways.items()}
    if config.metrics.textfile:
        told["textfile"] = next(iter(metrics.written(config, invocation.now)), None)
    if not told:
        raise UsageError(
            f"{config.path} names nobody who is to be told",
            hint="set mail_to, ping_url or webhook_url in [notify], or textfile in [metrics]",
        )
    rows = [(way, "failed" if problem else "delivered") for way, problem in told.items()]
    return Answer(
        data={
            "ways": [
                {"way": way, "ok": not problem, "message": problem.message if problem else None}
                for way, problem in told.items()
            ]
        },
        text=table(("WAY", "RESULT"), rows),
        failures=[problem for problem in told.values() if problem],
    )
