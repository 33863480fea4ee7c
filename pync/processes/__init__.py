"""What we start and end: programs, their pipes, their process groups."""
