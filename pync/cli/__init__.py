"""The command line: everything here is derived from the table in `pync.options`."""
