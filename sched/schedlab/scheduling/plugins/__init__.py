"""kube-scheduler's plugins, one per file, named as upstream names them."""
