"""The controllers of kube-controller-manager, each with its own client and its own projection."""
