"""kube-scheduler's framework: profiles, plugins, and the engine that keeps their answers."""
