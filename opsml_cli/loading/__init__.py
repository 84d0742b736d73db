"""Load on an endpoint over HTTP, and what its clients see of it. The same for every kind of workspace."""
