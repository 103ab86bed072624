"""Start hook: makes Pydantic build the validators of models and functions on first use instead of at import.

It sets `defer_build`, a documented setting of Pydantic 2 for both, which a model or function of the program may
override. Clients generated from an API description define thousands of them, of which a service uses a few. The hook
does nothing without Pydantic or with Pydantic 1.
"""

from collections.abc import Callable
from typing import Any


def _defer(pydantic: Any) -> None:
    validate_call: Callable[..., Any] = pydantic.validate_call

    def validate_call_later(
        func: Callable[..., Any] | None = None,
        /,
        *,
        config: dict[str, Any] | None = None,
        validate_return: bool = False,
    ) -> Any:
        return validate_call(func, config={"defer_build": True, **(config or {})}, validate_return=validate_return)

    pydantic.BaseModel.model_config["defer_build"] = True
    pydantic.validate_call = validate_call_later


try:
    import pydantic
except ModuleNotFoundError:
    pass
else:
    if hasattr(pydantic.BaseModel, "model_config"):
        _defer(pydantic)
