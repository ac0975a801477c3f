"""Keeps a client on one instance, and forwards a request that reached the wrong one; renders the balancers' files.

Must not know uploads' or downloads' rules.
"""
