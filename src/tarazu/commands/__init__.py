"""The command line, one file a group of commands: arguments in, one call, exit code out."""
