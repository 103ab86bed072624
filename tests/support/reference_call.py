"""One call to a reference server: `reference_call.py ADDRESS METHOD TEXT SECONDS`, run by the agent-runner's Python.

Prints one line of JSON: the status code's name, and the answer or the error's text.
"""

import importlib
import json
import sys
from typing import Any


def main(address: str, method: str, text: str, seconds: str) -> str:
    """Call `stigmer.reference.v1.Executions/METHOD` with a protobuf string, and wait at most `seconds`."""
    grpc: Any = importlib.import_module("grpc")
    wrappers: Any = importlib.import_module("google.protobuf.wrappers_pb2")
    with grpc.insecure_channel(address) as channel:
        ask = channel.unary_unary(
            f"/stigmer.reference.v1.Executions/{method}",
            request_serializer=wrappers.StringValue.SerializeToString,
            response_deserializer=wrappers.StringValue.FromString,
        )
        try:
            answer = ask(wrappers.StringValue(value=text), timeout=float(seconds), wait_for_ready=True)
        except grpc.RpcError as error:
            return json.dumps({"code": error.code().name, "text": error.details()})
    return json.dumps({"code": "OK", "text": answer.value})


if __name__ == "__main__":
    sys.stdout.write(main(*sys.argv[1:]) + "\n")
