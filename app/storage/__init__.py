"""Talks to MinIO: the dedicated client of each instance, signed URLs, multipart uploads, and whether a node answers.

Must not know users, names or HTTP requests of clients.
"""
