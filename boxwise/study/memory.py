"""What a study remembers for the tools beside it: JSON, under each one's name."""

from __future__ import annotations

from typing import Any

from boxwise.store import Store


class StudyMemory:
    """The memory; what one process writes all see at once."""

    store: Store

    def recall(self, tool: str) -> Any:
        """What a tool beside the study has it remember under its name; None before `remember`."""
        return self.store.get(tool)

    def remember(self, tool: str, value: Any) -> None:
        """Keep what a tool beside the study wants kept, as JSON, under its name."""
        self.store.put(tool, value)

    def remember_among(self, tool: str, value: Any) -> None:
        """Keep a value among those of a tool's list, once; what other processes add at the same moment stays."""
        self.store.put_among(tool, value)
