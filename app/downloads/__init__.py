"""Finds what a view of a name shows: the object's signed URL, or a thumbnail, created when it is first requested.

Must not know HTTP, SQL or the MinIO SDK.
"""
