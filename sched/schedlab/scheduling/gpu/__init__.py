"""GPU sharing as plugins: which nodes have the GPUs, how good they are, which GPU a pod gets.

The policies are those of "Beware of Fragmentation" (Weng et al., USENIX ATC'23), with the integer
arithmetic of its authors' program.
"""
