"""Services for tests."""

from .buffer_naming_service import BufferNamingService

__all__ = ["BufferNamingService"]
