"""The steps a caller asks for between the page's settling and its picture: `actions` of the request.

Clicks, keys and wheels are sent by the browser (`isTrusted`), to elements that can take them by then; a page that a
step leads to is awaited before the next step.
"""

from calotype.capture.actions.run import Actions

__all__ = ["Actions"]
