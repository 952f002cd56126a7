"""`python -m archiver` is `archiver`."""

from archiver.cli.main import main

main()
