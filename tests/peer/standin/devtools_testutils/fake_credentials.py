"""A credential for playing recordings back; named by a type annotation alone when the tests are live."""

SANITIZED = "Sanitized"


class FakeTokenCredential:
    pass
