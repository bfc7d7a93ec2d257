//! ZeroBuffer.
