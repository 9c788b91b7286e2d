"""The control plane in virtual time: component classes that meet only at the API server."""
