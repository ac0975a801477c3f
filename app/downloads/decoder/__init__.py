"""Turns bytes of a picture into bytes of a smaller one. Runs in a process of its own (`decoder_process`), the only place
that decodes what users uploaded: it may be killed, and its memory goes back with it.

A file is stripped of its metadata (by a module for each format), opened (`sources`) and made smaller (`resize`).
"""

from app.downloads.decoder.thumbnail import make

__all__ = ["make"]
