"""What `doctor` looks at: one function for each question, in modules by what they are about."""

from archiver.setup.checks.found import CRITICAL, OK, WARNING, Finding, Patient

__all__ = ["CRITICAL", "OK", "WARNING", "Finding", "Patient"]
