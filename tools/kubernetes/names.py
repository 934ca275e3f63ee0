# SPDX-License-Identifier: Apache-2.0
"""Names of the gateway's services: PREFIX NAMESPACE _ SERVICE _ PORT.

The gateway takes 1 to 31 letters, digits, dots, dashes and underscores (`read_name` in
dpdk/config/general.cpp), so "/" cannot part the words. No name of Kubernetes has an underscore. A
longer name is cut, and ends with two underscores and a digest of the whole.
"""

import base64
import hashlib

LONGEST_NAME = 31
LONGEST_PREFIX = 12
PREFIX = rf"[A-Za-z0-9.-]{{1,{LONGEST_PREFIX}}}"
DIGEST = 10  # characters of 5 bits: two of 10,000 names are alike in one of 20 million clusters


def gateway_name(prefix, namespace, service, port):
    """@param port  a Service port's name, or its number where it has none"""
    name = f"{prefix}{namespace}_{service}_{port}"
    if len(name) <= LONGEST_NAME:
        return name
    digest = base64.b32encode(hashlib.sha256(name.encode()).digest()).decode().lower()
    return f"{name[:LONGEST_NAME - DIGEST - 2]}__{digest[:DIGEST]}"
