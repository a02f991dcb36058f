"""The same server with fakes behind it that the contract tests use."""

from tests.contract.conftest import client, served, services

__all__ = ["client", "served", "services"]
