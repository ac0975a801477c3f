"""gunicorn's settings for an instance, to be changed: copy it, and change the copy. Two ways to use it:

    openim-direct serve i1 --config instances.yaml --settings deploy/gunicorn.conf.py

    OPENIM_DIRECT_CONFIG=instances.yaml OPENIM_DIRECT_INSTANCE=i1 \\
        gunicorn -c deploy/gunicorn.conf.py 'app.server.wsgi:application()'

What is set here wins over instances.yaml; options on the command line win over this file.
"""

# All of the built-in settings, each with its reason; what follows replaces them. `_` names would be left out.
from app.server.gunicorn_conf import *  # noqa: F403

# gunicorn's own line for each request, on stdout; without it there is one of ours (OPENIM_DIRECT_REQUEST_LOG=off: none).
# accesslog = "-"
# access_log_format = '%(t)s %(h)s "%(m)s %(U)s" %(s)s %(B)s %(D)s us'

# A completion of thousands of parts takes seconds, and one that is cut short is only repeated: give it the time.
# graceful_timeout = 60

# Replace workers now and then, at different times.
# max_requests = 100_000
# max_requests_jitter = 10_000

# A connection that the instance closes first is a 502 at the balancer: keep this above its own idle time (nginx: 60 s).
# keepalive = 75

# More processes on more cores (server.workers in instances.yaml).
# workers = 4

# Leave worker_class (the program is written for greenlets) and preload_app (connections are each worker's own).
