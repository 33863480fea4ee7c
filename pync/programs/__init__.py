"""-e and -c: programs that stand where our input and output do, for streams and for datagrams."""
