"""Runs an upload: initiate, sign, complete; forms; v3.4.0's upload IDs; what a user may begin in an hour.

Must not know HTTP, SQL or the MinIO SDK: it is handed what it calls.
"""
