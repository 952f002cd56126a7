"""`archiver retention`."""

import click

from archiver.cli.expiry import expire_, plan


@click.group(short_help="How long archives are kept, and why.")
def retention() -> None:
    """What the retention rules say of each archive, and what was done by them."""


retention.add_command(plan)
retention.add_command(expire_)
