"""moto's S3, one request at a time: a condition is checked and its object written without another in between, as S3 does.

``python -m tests.stores.s3_server PORT``
"""

from __future__ import annotations

import logging
import sys

from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import make_server


def main(port: str) -> None:
    """Serve until the process is ended."""
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    app = DomainDispatcherApplication(create_backend_app)
    make_server("127.0.0.1", int(port), app, threaded=False).serve_forever()


if __name__ == "__main__":
    main(sys.argv[1])
