"""A submitted job carried out on this machine, as Azure ML would carry it out on a cluster."""
