//! Byte strings inside messages: borrowed from the message, with a limit in the type.
//!
//! Names are bytes, not text: Linux allows everything but `/` and NUL.

use core::fmt;
use postcard::experimental::max_size::MaxSize;
use serde::{Deserialize, Serialize};

/// At most `N` bytes, borrowed from the message that carries them.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "&[u8]")]
pub struct Bytes<'a, const N: usize>(#[serde(serialize_with = "as_bytes")] &'a [u8]);

fn as_bytes<S: serde::Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_bytes(bytes)
}

impl<'a, const N: usize> Bytes<'a, N> {
    /// Wraps `bytes`; `None` if there are more than `N`.
    pub const fn new(bytes: &'a [u8]) -> Option<Self> {
        if bytes.len() <= N { Some(Self(bytes)) } else { None }
    }

    /// The bytes.
    pub const fn get(self) -> &'a [u8] {
        self.0
    }
}

/// Longest part of a byte string that a trace shows.
const SHOWN: usize = 64;

/// Prints bytes as a trace shows them: escaped, in quotes, and cut where they are long.
fn show(bytes: &[u8], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    match bytes.get(..SHOWN) {
        Some(start) if bytes.len() > SHOWN => write!(f, "\"{}\"...({})", start.escape_ascii(), bytes.len()),
        _ => write!(f, "\"{}\"", bytes.escape_ascii()),
    }
}

impl<const N: usize> fmt::Debug for Bytes<'_, N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        show(self.0, f)
    }
}

impl fmt::Debug for Name<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        show(self.0, f)
    }
}

impl fmt::Debug for Path<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        show(self.0, f)
    }
}

/// The bytes exceed the limit of their type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooLong;

impl fmt::Display for TooLong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("byte string exceeds its limit")
    }
}

impl<'a, const N: usize> TryFrom<&'a [u8]> for Bytes<'a, N> {
    type Error = TooLong;
    fn try_from(bytes: &'a [u8]) -> Result<Self, TooLong> {
        Self::new(bytes).ok_or(TooLong)
    }
}

impl<const N: usize> MaxSize for Bytes<'_, N> {
    const POSTCARD_MAX_SIZE: usize = N + 2;
}

/// Longest name of one directory entry, in bytes (`NAME_MAX`, limits.h).
pub const NAME_MAX: usize = 255;

/// Longest path that one message carries; the front end splits longer ones.
pub const PATH_BYTES: usize = 640;

/// One directory entry name: 1..=255 bytes, no `/`, no NUL, neither `.` nor `..`.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "&[u8]")]
pub struct Name<'a>(#[serde(serialize_with = "as_bytes")] &'a [u8]);

/// Why bytes are no [`Name`] or [`Path`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NameError {
    /// No bytes at all.
    Empty,
    /// More than the limit.
    TooLong,
    /// `.`, `..`, or a `/` or NUL inside.
    Illegal,
}

impl fmt::Display for NameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Empty => "empty name",
            Self::TooLong => "name too long",
            Self::Illegal => "illegal name",
        })
    }
}

impl<'a> Name<'a> {
    /// Checks `bytes`. Errors: each of [`NameError`].
    pub fn new(bytes: &'a [u8]) -> Result<Self, NameError> {
        match bytes {
            [] => Err(NameError::Empty),
            b"." | b".." => Err(NameError::Illegal),
            _ if bytes.len() > NAME_MAX => Err(NameError::TooLong),
            _ if bytes.iter().any(|byte| matches!(byte, b'/' | 0)) => Err(NameError::Illegal),
            _ => Ok(Self(bytes)),
        }
    }

    /// The bytes of the name.
    pub const fn get(self) -> &'a [u8] {
        self.0
    }
}

impl<'a> TryFrom<&'a [u8]> for Name<'a> {
    type Error = NameError;
    fn try_from(bytes: &'a [u8]) -> Result<Self, NameError> {
        Self::new(bytes)
    }
}

impl MaxSize for Name<'_> {
    const POSTCARD_MAX_SIZE: usize = NAME_MAX + 2;
}

/// Components to walk, joined by single `/`, each a legal [`Name`]; empty means "stay here".
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "&[u8]")]
pub struct Path<'a>(#[serde(serialize_with = "as_bytes")] &'a [u8]);

impl<'a> Path<'a> {
    /// Checks `bytes`. Errors: `TooLong` (also for one component), `Illegal`, `Empty` (a component).
    pub fn new(bytes: &'a [u8]) -> Result<Self, NameError> {
        if bytes.len() > PATH_BYTES {
            return Err(NameError::TooLong);
        }
        if !bytes.is_empty() {
            bytes.split(|&byte| byte == b'/').try_for_each(|part| Name::new(part).map(drop))?;
        }
        Ok(Self(bytes))
    }

    /// The components in order.
    pub fn components(self) -> impl Iterator<Item = Name<'a>> {
        self.0.split(|&byte| byte == b'/').filter(|part| !part.is_empty()).map(Name)
    }

    /// The joined bytes.
    pub const fn get(self) -> &'a [u8] {
        self.0
    }
}

impl<'a> TryFrom<&'a [u8]> for Path<'a> {
    type Error = NameError;
    fn try_from(bytes: &'a [u8]) -> Result<Self, NameError> {
        Self::new(bytes)
    }
}

impl MaxSize for Path<'_> {
    const POSTCARD_MAX_SIZE: usize = PATH_BYTES + 2;
}
