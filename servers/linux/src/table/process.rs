//! Rows of the process side.

use super::Row;

/// Sorted by number.
pub(crate) const ROWS: &[Row] = &[];
