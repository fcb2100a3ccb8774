//! read, write and their vector and positioned forms.
