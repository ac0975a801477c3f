"""Verifies OpenIM tokens, asks Redis for their states, and seals upload IDs and marks.

Must not know what a verified user then does.
"""
