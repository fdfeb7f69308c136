"""CeleryExecutor with two isolated workers; runs in ``.venv-services`` (``scripts/test-services``)."""
