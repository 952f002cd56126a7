"""The configuration file: TOML in, frozen dataclasses out, every problem with its line.

    settings     the whole file; `load` is where to begin
    targets, retention, telling, schedule     one part of it each
    secret_refs  where a secret is to be found, and the secret itself when it is needed
    toml_tables, toml_lines     reading a table key by key; the line of each key
    default.toml     what `archiver config init` starts from

`settings` reads the file and the zone files, and asks for this machine's name if none is
configured (a name service may answer); `secret_refs` reads the environment and files. Nothing is
written, and no clock is asked.
"""
