"""`--ports`: the bound ports of this machine, their owners, and the number of connections of each."""
