//! eventfd(2).
