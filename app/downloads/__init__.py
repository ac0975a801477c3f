"""Finds what a view of a name shows: the object's signed URL, or a thumbnail, made when it is first asked for.

Must not know HTTP, SQL or the MinIO SDK.
"""
