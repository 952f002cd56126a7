"""The configuration file: TOML in, frozen dataclasses out, every problem with its line.

`settings` has the whole file, `targets`, `retention`, `telling` and `schedule` one part each;
`toml_tables` and `toml_lines` read a table key by key; `secret_refs` knows where a secret lies.

It reads the file, the zone files and, for secrets, the environment; it asks for this machine's
name if none is configured (a name service may answer). It writes nothing and asks no clock.
"""
