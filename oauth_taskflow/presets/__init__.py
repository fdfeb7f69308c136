"""Provider presets: what is known about a provider's OAuth, as data; one YAML file each, no code."""
