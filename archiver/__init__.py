"""Rotate mail logs without losing a line, archive them, and get them back by date."""

__version__ = "0.1.0"
