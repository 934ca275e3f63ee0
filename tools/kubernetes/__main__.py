# SPDX-License-Identifier: Apache-2.0
"""The program: tools/kubernetes/controller."""

import argparse
import json
import logging
import os
import queue
import signal
import sys
import threading

from .api_client import ApiClient, ApiError
from .api_writer import ApiWriter
from .controller import MOST_NEWS, Controller
from .gateway import Gateway, GatewayAway
from .health import Health
from .settings import SettingsError, read_settings
from .watch import KINDS, Watch

log = logging.getLogger(__name__)
FINE, FAILED, USAGE = 0, 1, 2

DESCRIPTION = """\
Gives Services of type LoadBalancer an address, and has noclash spread their connections over Pods
or nodes. docs/kubernetes.md says how.
"""


def parse_arguments(argv):
    parser = argparse.ArgumentParser(
        prog="controller", description=DESCRIPTION,
        epilog="exit status: 0 ended by a signal, or the dry run is done; 1 the dry run found no "
        "gateway or no API, or a fault of the controller's; 2 usage, or a faulty configuration")
    parser.add_argument("--config", required=True, metavar="FILE", help="the configuration, TOML")
    parser.add_argument("--dry-run", action="store_true",
                        help="print the changes that would be sent, and change nothing")
    parser.add_argument("--verbose", action="store_true", help="log what is done, too")
    return parser.parse_args(argv)


def dry_run(controller, kinds, client, news):
    """Prints a line for each change of the gateway, and of a Service's status."""
    for kind in kinds:
        Watch(client, kind, news).list()
    controller.hear_all()
    controller.first_plan()
    controller.compare()
    for _, changes in controller.due():
        for change in changes:
            print(json.dumps(change))
    for key, service in sorted(controller.cluster.services.items()):
        if (ingress := controller.ingress(service)) != service.ingress:
            print(json.dumps({"status": key, "ingress": ingress}))


def end_with(thread):
    """A thread that has ended by a fault must not leave a controller behind that hears nothing."""
    log.critical("the thread \"%s\" has ended by a fault of the controller's; please report it",
                 thread.thread.name, exc_info=(thread.exc_type, thread.exc_value,
                                               thread.exc_traceback))
    os._exit(FAILED)


def main(argv):
    options = parse_arguments(argv)
    logging.basicConfig(level=logging.INFO if options.verbose else logging.WARNING,
                        format="%(levelname)s: %(message)s")
    try:
        settings = read_settings(options.config)
    except SettingsError as error:
        print(f"controller: {error}", file=sys.stderr)
        return USAGE
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(FINE))
    signal.signal(signal.SIGINT, lambda *_: sys.exit(FINE))
    client = ApiClient(settings.api)
    news = queue.Queue(MOST_NEWS)
    health = Health(settings.health_interval_s, settings.health_timeout_s, news)
    writer = None if options.dry_run else ApiWriter(client)
    controller = Controller(settings, Gateway(settings.control_socket, settings.prefix), health,
                            writer, news)
    kinds = [kind for kind in KINDS if kind.name != "nodes" or settings.targets == "nodes"]
    if options.dry_run:
        try:
            dry_run(controller, kinds, client, news)
            return FINE
        except (ApiError, GatewayAway) as error:
            print(f"controller: {error}", file=sys.stderr)
            return FAILED
    threading.excepthook = end_with
    writer.start()
    for kind in kinds:
        Watch(client, kind, news).start()
    controller.run()
    return FINE


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
