"""How far a transfer is, and what a run came to: --progress, and the closing summary of --json."""
