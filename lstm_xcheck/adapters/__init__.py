"""Who computes: one file per implementation, loaded only inside a worker."""

from .registry import Entry as Entry
from .registry import entry_named as entry_named
from .registry import installed as installed
from .registry import known as known
from .registry import register_adapter as register_adapter
