"""The front's side of foreign code: files and processes of a deployment's hosts, and the requests that go to them."""
