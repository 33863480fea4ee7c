"""Sockets and descriptors: names, connections, listeners, and the moving of bytes between them."""
