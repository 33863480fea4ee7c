"""HTTP/1.1 as bytes in, bytes out: requests, conditions, pages, the service."""
