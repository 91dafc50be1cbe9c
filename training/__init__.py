"""History to gates to dataset to model bundle and report."""
