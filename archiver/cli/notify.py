"""`archiver notify`."""

import click

from archiver import metrics, notify
from archiver.cli.answer import Answer, Invocation, table, verb
from archiver.errors import UsageError


@click.group("notify", short_help="Try whether anybody would be told.")
def notify_() -> None:
    """Who is told how runs go is set in `[notify]` and `[metrics]`."""


@notify_.command(short_help="Send a test in each way that is configured.")
@verb
def test(invocation: Invocation) -> Answer:
    """Send a test mail, ping and webhook, and write the metrics' textfile: whatever is
    configured. The ping says that a run ended well (`/0`), as there is no other.
    """
    config = invocation.config()
    settings = config.notify
    event = notify.Event(notify.TEST, config.host.name, "notify test", invocation.now)
    ways = notify.ways(settings, event)
    if settings.ping_url:
        ways["ping"] = lambda: notify.ask(settings, "0")
    told = {way: notify.attempted(way, act, settings) for way, act in ways.items()}
    if config.metrics.textfile:
        told["textfile"] = next(iter(metrics.written(config, invocation.now)), None)
    if not told:
        raise UsageError(
            f"{config.path} names nobody who is to be told",
            hint="set mail_to, ping_url or webhook_url in [notify], or textfile in [metrics]",
        )
    rows = [(way, "failed" if problem else "ok") for way, problem in told.items()]
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
