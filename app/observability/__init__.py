"""Counts, times and logs what happens: Prometheus metrics, the request log, the trail of one request.

Must not know routes' rules or the storage's calls; others tell it what happened.
"""
