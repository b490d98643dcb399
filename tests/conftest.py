"""What binds `load` when it is imported does so before a test puts another in its place, whatever the order of the tests."""

import passerby.export.writing  # noqa: F401
