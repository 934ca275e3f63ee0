# SPDX-License-Identifier: Apache-2.0
"""The Kubernetes controller: Services of type LoadBalancer become services of a gateway."""
