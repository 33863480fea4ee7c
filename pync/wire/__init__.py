"""Bytes in, bytes out. This floor imports no socket, no clock and no loop."""
