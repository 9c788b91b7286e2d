"""ImageLocality: prefer nodes that have the pod's images already.

An image counts its size times the share of nodes that have it, so that pods do not flock to the
few nodes of a rare image. The sum over the containers, init containers included, is scaled from
23 MiB .. 1000 MiB per container to 0 .. 100.

The score of a node changes when an image comes to or leaves any node, never with pods: it is
`Depends.STATIC` in the sense that only changes of node attributes matter, but then of all rows.
"""

from __future__ import annotations

import numpy as np

from schedlab.scheduling.framework.interface import MAX_NODE_SCORE, Cycle, Depends, Rows, Scores

MIB = 1 << 20
MIN_THRESHOLD = 23 * MIB
MAX_CONTAINER_THRESHOLD = 1000 * MIB


class ImageLocality:
    """Score by images."""

    name = "ImageLocality"
    depends = Depends.STATIC

    def score(self, cycle: Cycle, rows: Rows) -> Scores:
        """Scale the sum of the images' sizes times spread, truncated twice as upstream does."""
        spec, nodes = cycle.pod_class.spec, cycle.nodes
        containers = (*spec.init_containers, *spec.containers)
        size = len(cycle.rows())
        total = np.zeros(len(rows), np.int64)
        for container in containers:
            image = nodes.images.get(normalized_image_name(container.image))
            if image is not None:
                there = np.zeros(nodes.size, np.bool_)
                there[list(image.rows)] = True
                total[there[rows]] += int(float(image.size_bytes) * (len(image.rows) / size))
        most = MAX_CONTAINER_THRESHOLD * len(containers)
        above = np.clip(total, MIN_THRESHOLD, most) - MIN_THRESHOLD
        return MAX_NODE_SCORE * above // (most - MIN_THRESHOLD)


def normalized_image_name(name: str) -> str:
    """Return an image's name with the tag that it has when none is given.

    Examples
    --------
    >>> [normalized_image_name(n) for n in ("nginx", "nginx:1.27", "reg:5000/nginx", "a@sha256:1f")]
    ['nginx:latest', 'nginx:1.27', 'reg:5000/nginx:latest', 'a@sha256:1f']
    """
    return name if name.rfind(":") > name.rfind("/") else f"{name}:latest"
