"""Bytes in, bytes out: no socket, no clock, no loop is known on this floor."""
