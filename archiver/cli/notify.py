"""`archiver notify`."""

import click

from archiver.cli.answer import Answer, Invocation, table, verb
from archiver.errors import UsageError
from archiver.service import metrics, notify


@click.group("notify", short_help="Send a test notification.")
def notify_() -> None:
    """Who is notified of how runs end is configured in `[notify]` and `[metrics]`."""


@notify_.command(short_help="Send a test notification in every way that is configured.")
@verb
def test(invocation: Invocation) -> Answer:
    """Send a mail, call the webhook, request `ping_url/log`, and write the metrics' textfile, each
    if it is configured. Exit status 3: one of them failed.
    """
    config = invocation.config()
    settings = config.notify
    event = notify.Notice(notify.TEST, config.host.name, "notify test", invocation.now)
    ways = notify.ways(settings, event)
    if settings.ping_url:
        # healthchecks records that without taking it for a run that began or ended.
        ways["ping"] = lambda: notify.ask(settings, "log")
    results = {way: notify.attempted(way, act, settings) for way, act in ways.items()}
    if config.metrics.textfile:
        results["textfile"] = next(iter(metrics.written(config, invocation.now)), None)
    if not results:
        raise UsageError(
            f"{config.path} configures no notification",
            hint="set mail_to, ping_url or webhook_url in [notify], or textfile in [metrics]",
        )
    rows = [(way, "failed" if problem else "delivered") for way, problem in results.items()]
    return Answer(
        data={
            "ways": [
                {"way": way, "ok": not problem, "message": problem.message if problem else None}
                for way, problem in results.items()
            ]
        },
        text=table(("WAY", "RESULT"), rows),
        failures=[problem for problem in results.values() if problem],
    )
