"""The only name of obstore that Daytona's client imports."""


class S3Store:
    """Raises an error when instantiated: its users need the real obstore."""

    def __init__(self, *_arguments: object, **_settings: object) -> None:
        message = "agent-runner was built without obstore and cannot upload build contexts; use an existing snapshot"
        raise RuntimeError(message)
