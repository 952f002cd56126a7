"""Archives and their manifests: their names and formats, and how they are written and read.

    names, manifest, seek_table, receipts     names, documents and formats (pure)
    writer       write an archive to disk, and verify it while it is written
    reader       read frames from whichever copy gives them whole

`writer` touches the disk only where it is told to; `reader` reads through the stores it is given,
so it may use the network. Both use threads. Nothing here reads a clock.
"""
