"""Does an operator's work on a deployment: check, migrate, expire, gc, purge, and an upload as a client does it.

Must not know the command line or HTTP requests of clients.
"""
