//! Rows of the files side.

use super::Row;

/// Sorted by number.
pub(crate) const ROWS: &[Row] = &[];
