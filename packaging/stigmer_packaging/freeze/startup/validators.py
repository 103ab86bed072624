"""Start hook: let Pydantic build the validators of models and functions when they are first used, not when they are imported.

Both are documented settings of Pydantic 2 (`defer_build`), which a model or a function of the program may set otherwise.
Clients that are generated from an API description define thousands of them, and a service uses a few. A program with
Pydantic 1, or without Pydantic, starts as it would without this hook.
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
