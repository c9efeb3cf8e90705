"""The command line, one file per group of commands. Each command parses its options, makes one call and returns an exit
code."""
