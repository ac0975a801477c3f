"""`python -m app` is the `openim-direct` command."""

from app.cli.main import main

main()
