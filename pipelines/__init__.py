"""The steps as Kubeflow pipelines: wiring, placement, compiling, submitting, running here."""
