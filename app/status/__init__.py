"""Describes an instance and the whole deployment: figures, history, what is up.

Must not know how they are shown.
"""
