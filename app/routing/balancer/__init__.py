"""Describes a deployment (`context`) and renders the balancers' configuration from it (`render`, `templates/`)."""
