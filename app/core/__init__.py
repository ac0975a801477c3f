"""The vocabulary that every folder shares: failures, facts about objects and records, names, and the wire format.

Knows no HTTP, no storage, no database: standard library and shapes only.
"""
