"""Workers and pods that share no disk: CeleryExecutor, EdgeExecutor and tasks as KubernetesExecutor starts them; runs in ``.venv-services`` (``scripts/test-services``)."""
