"""Serves HTTP with Flask: the object API, health, metrics, and the pages for operators.

The only folder that knows Flask. A view reads the request, calls the rules, and writes the answer.
"""
