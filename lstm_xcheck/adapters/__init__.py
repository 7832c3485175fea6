"""Adapters: one file or folder per framework, loaded only inside workers."""

from .entry import Entry as Entry
from .registry import entry_named as entry_named
from .registry import installed as installed
from .registry import known as known
from .registry import register_adapter as register_adapter
