"""Each folder tests the package of its name; `whole` tests all of it together.

`world` holds what tests stand on: hosts, syslogds, S3 servers, logs such as nobody would wish for.
"""

from pathlib import Path

TOP = Path(__file__).parents[1]
DATA = TOP / "tests" / "data"
