"""What is done with a connection: standard streams, a hub, a service, a program, a web site."""
