//! poll(2) and select(2).
