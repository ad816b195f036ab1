"""Reads the manifests that `rustwren setup` writes, each as its own tools do, and prints what is in them as JSON.

Kubernetes' schemas judge the objects of Kubernetes. Knative's service holds the specification of a pod, with two fields
of its own, and so that judges it as well. Dockerfiles are read by Docker's parser.
"""

import json
import pathlib
import sys

import dockerfile
import kubernetes_validate
import yaml

VERSION = "1.37"


def objects(path):
    return [item for item in yaml.safe_load_all(path.read_text()) if item]


def main():
    folder = pathlib.Path(sys.argv[1])
    kubernetes = objects(folder / "kubernetes.yaml")
    for item in kubernetes:
        kubernetes_validate.validate(item, VERSION, strict=True)

    (knative,) = objects(folder / "knative.yaml")
    spec = dict(knative["spec"]["template"]["spec"])
    for own in ("containerConcurrency", "timeoutSeconds"):
        assert isinstance(spec.pop(own), int), own
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "knative"}, "spec": spec}
    kubernetes_validate.validate(pod, VERSION, strict=True)

    (app,) = objects(folder / "app.yaml")
    commands = [[c.cmd, *c.value] for c in dockerfile.parse_file(str(folder / "Dockerfile"))]
    print(json.dumps({"kubernetes": kubernetes, "knative": knative, "app": app, "dockerfile": commands}))


main()
