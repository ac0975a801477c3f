"""Runs the application under gunicorn.

Must not know the routes.
"""
