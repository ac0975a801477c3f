"""Reads instances.yaml into typed settings, and v3.4.0's config.yaml into an instances.yaml.

Must not know what the settings are used for.
"""
