"""Checks the descriptions that a service gives of itself with their own tools, and messages against them:
python documents.py HOST:PORT FILE, whose lines are `client TEXT` or `server TEXT`."""
import json
import sys
from collections import Counter
from pathlib import Path
from urllib.request import urlopen

from jsonschema import Draft7Validator
from jsonschema.exceptions import best_match
from openapi_spec_validator import validate

address, file = sys.argv[1:3]


def get(path):
    with urlopen(f"http://{address}{path}") as answer:
        return json.load(answer)


validate(get("/v1/openapi.json"))

asyncapi = get("/v1/asyncapi.json")
folder = Path(__file__).parent / "node_modules/@asyncapi/specs/schemas"
Draft7Validator(json.loads((folder / f"{asyncapi['asyncapi']}-without-$id.json").read_text())).validate(asyncapi)
schemas = asyncapi["components"]["schemas"]
Draft7Validator.check_schema({"definitions": schemas})


def validator(name):
    return Draft7Validator({"$ref": f"#/components/schemas/{name}", "components": asyncapi["components"]})


# Which kinds there are: each must be seen, so that none is described that never comes.
kinds = {"client": {}, "server": {}}
for side, name in (("client", "Request"), ("server", "ServerObject")):
    for reference in schemas[name]["oneOf"]:
        kind = reference["$ref"].rsplit("/", 1)[1]
        kinds[side][kind] = validator(kind)

seen = Counter()
whole = {"client": validator("Request"), "server": validator("ServerMessage")}
for line in Path(file).read_text().splitlines():
    side, text = line.split(" ", 1)
    message = json.loads(text)
    for part in [message] if side == "client" else message:
        fitting = [kind for kind, is_kind in kinds[side].items() if is_kind.is_valid(part)]
        if len(fitting) != 1:
            raise SystemExit(f"{part} is {fitting}: {best_match(whole[side].iter_errors(message))}")
        seen[fitting[0]] += 1
missing = {kind for side in kinds.values() for kind in side} - set(seen)
print(json.dumps({"seen": seen, "missing": sorted(missing)}))
