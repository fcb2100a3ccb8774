//! The processor: one folder per architecture; the rest of the core is written against `arch::*`.

mod x86_64;
pub(crate) use self::x86_64::*;
