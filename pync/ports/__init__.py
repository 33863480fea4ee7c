"""`--ports`: which ports of this machine are bound, by whom, and how many connections each has."""
