"""The progress of a transfer and the totals of a run: --progress, and the closing summary of --json."""
