"""Keeps which object a name means, in SQLite or MySQL, and reads v3.4.0's own table.

Must not know HTTP or MinIO.
"""
