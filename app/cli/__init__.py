"""The `openim-direct` command, one thin file a subcommand.

Must not hold rules: it parses arguments, calls, and prints.
"""
