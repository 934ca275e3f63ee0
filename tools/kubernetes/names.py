# SPDX-License-Identifier: Apache-2.0
"""Names of the gateway's services: PREFIX NAMESPACE _ SERVICE _ PORT.

The gateway takes letters, digits, dots, dashes and underscores, so "/" cannot part the words. No
name of Kubernetes has an underscore.
"""

LONGEST_NAME = 160  # `longest_service_name` of dpdk/config/services.hpp
LONGEST_PREFIX = 12
PREFIX = rf"[A-Za-z0-9.-]{{1,{LONGEST_PREFIX}}}"


def gateway_name(prefix, namespace, service, port):
    """At most LONGEST_PREFIX + 63 + 63 + 15 + 2 characters.

    @param port  a Service port's name, or its number where it has none"""
    return f"{prefix}{namespace}_{service}_{port}"
