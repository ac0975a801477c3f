"""Builds the Flask application of one instance."""

from __future__ import annotations

from flask import Flask

from app.api import errors, headers, observe
from app.api.health import health, metrics
from app.api.objects import objects
from app.api.openapi import openapi
from app.api.request import EXTENSION, MAX_BODY, NameConverter
from app.api.services import Services
from app.api.status import status


def create_app(services: Services) -> Flask:
    """
    :param services: what the instance is composed of; views find it by `current_services`.
    """
    app = Flask("openim-direct", static_folder=None)
    app.config["MAX_CONTENT_LENGTH"] = MAX_BODY
    app.extensions[EXTENSION] = services
    # Two slashes are no route's, as in v3.4.0. One too many at the end is redirected there, and taken as it is here.
    app.url_map.merge_slashes = False
    app.url_map.strict_slashes = False
    app.url_map.converters["name"] = NameConverter
    observe.register(app, services)
    headers.register(app, services)
    errors.register(app)
    for blueprint in (objects, health, metrics, openapi, status):
        app.register_blueprint(blueprint)
    return app
