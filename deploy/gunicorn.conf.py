"""gunicorn's settings for an instance, to be changed: copy it, and change the copy. Two ways to use it:

    openim-direct serve i1 --config instances.yaml --settings deploy/gunicorn.conf.py

    OPENIM_DIRECT_CONFIG=instances.yaml OPENIM_DIRECT_INSTANCE=i1 \\
        gunicorn -c deploy/gunicorn.conf.py 'app.server.wsgi:application()'

What is set here wins over instances.yaml and over the options of `serve`; options of gunicorn's own win over this file.
"""

from app.server.gunicorn_conf import *  # noqa: F403 (its names are gunicorn's settings)

if __name__ == "__config__":
    # gunicorn itself reads this file; `openim-direct serve` has set these already. Names with _ are no settings.
    from app.config.load import ConfigError as _ConfigError
    from app.server.wsgi import deployment_of_environment as _deployment_of_environment

    try:
        _deployment, _instance = _deployment_of_environment()
    except _ConfigError as _error:
        raise SystemExit(f"gunicorn.conf.py: {_error}") from None
    bind = _deployment.instances[_instance].bind
    workers = _deployment.server.workers
    threads = _deployment.server.threads
    proc_name = f"openim-direct {_instance}"

# gunicorn's own line for each request, on stdout; without it there is one of ours (OPENIM_DIRECT_LOG=json, text or none).
# accesslog = "-"
# access_log_format = '%(t)s %(h)s "%(m)s %(U)s" %(s)s %(B)s %(D)s us'

# A completion of thousands of parts takes seconds, and one that is cut short is only repeated: give it the time.
# graceful_timeout = 60

# Replace workers now and then, at different times.
# max_requests = 100_000
# max_requests_jitter = 10_000

# A connection that the instance closes first is a 502 at the balancer: keep this above its own idle time (nginx: 60 s).
# keepalive = 75

# More processes on more cores; threads mostly wait for MinIO and the database.
# workers = 4
# threads = 8

# Leave worker_class (it answers unreadable requests in OpenIM's form) and preload_app (connections are each worker's own).
