"""Compare cluster schedulers on a simulated Kubernetes cluster."""
