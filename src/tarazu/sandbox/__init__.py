"""Run an untrusted program in a sandbox. This package knows nothing about records."""
