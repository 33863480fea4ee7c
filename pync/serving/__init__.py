"""Where connections come from and what surrounds them: binding, admission, accepting, counting, reporting."""
