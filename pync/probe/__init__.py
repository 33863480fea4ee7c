"""Asking ports whether they answer: -z, --wait, --retry."""
