//! How one field is read from and written to the wire: the [`Field`] trait and the two cursors it uses.
//!
//! Every message in `request.rs` and `reply.rs` is a list of fields; this file holds the integers, strings and
//! data blocks, `attr.rs` and `list.rs` the composite ones.

use crate::{Error, Result};

/// A type that stands in a message body.
pub(crate) trait Field<'a>: Sized {
    /// Takes the field from the front of `from`.
    fn get(from: &mut Reader<'a>) -> Result<Self>;
    /// Appends the field to `to`.
    fn put(&self, to: &mut Writer<'_>) -> Result<()>;
}

/// A cursor over received bytes; every step is checked.
#[derive(Clone, Debug)]
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    pub(crate) fn take(&mut self, len: usize) -> Result<&'a [u8]> {
        let (front, rest) = self.rest.split_at_checked(len).ok_or(Error::Truncated)?;
        self.rest = rest;
        Ok(front)
    }

    pub(crate) fn get<T: Field<'a>>(&mut self) -> Result<T> {
        T::get(self)
    }

    pub(crate) fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// Ends the parse; `Trailing` if bytes are left.
    pub(crate) fn finish(self) -> Result<()> {
        if self.rest.is_empty() { Ok(()) } else { Err(Error::Trailing) }
    }
}

/// A cursor over the caller's output slice. Invariant: `len <= bytes.len()`.
#[derive(Debug)]
pub(crate) struct Writer<'b> {
    bytes: &'b mut [u8],
    len: usize,
}

impl<'b> Writer<'b> {
    /// A writer that starts `skip` bytes into `bytes`.
    pub(crate) fn after(bytes: &'b mut [u8], skip: usize) -> Result<Self> {
        if skip > bytes.len() {
            return Err(Error::NoSpace);
        }
        Ok(Self { bytes, len: skip })
    }

    pub(crate) fn bytes(&mut self, data: &[u8]) -> Result<()> {
        let end = self.len.checked_add(data.len()).ok_or(Error::NoSpace)?;
        self.bytes.get_mut(self.len..end).ok_or(Error::NoSpace)?.copy_from_slice(data);
        self.len = end;
        Ok(())
    }

    /// Bytes written so far, the skipped ones included.
    pub(crate) fn len(&self) -> usize {
        self.len
    }
}

macro_rules! integer_field {
    ($($int:ty),*) => {$(
        impl<'a> Field<'a> for $int {
            fn get(from: &mut Reader<'a>) -> Result<Self> {
                let mut raw = [0; size_of::<$int>()];
                raw.copy_from_slice(from.take(size_of::<$int>())?);
                Ok(<$int>::from_le_bytes(raw))
            }
            fn put(&self, to: &mut Writer<'_>) -> Result<()> {
                to.bytes(&self.to_le_bytes())
            }
        }
    )*};
}
integer_field!(u8, u16, u32, u64);

/// A string: `len[2] bytes[len]`.
impl<'a> Field<'a> for &'a [u8] {
    fn get(from: &mut Reader<'a>) -> Result<Self> {
        let len: u16 = from.get()?;
        from.take(usize::from(len))
    }
    fn put(&self, to: &mut Writer<'_>) -> Result<()> {
        u16::try_from(self.len()).map_err(|_| Error::NoSpace)?.put(to)?;
        to.bytes(self)
    }
}

/// A data block: `count[4] bytes[count]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Data<'a>(
    /// The bytes, without their count.
    pub &'a [u8],
);

impl<'a> Field<'a> for Data<'a> {
    fn get(from: &mut Reader<'a>) -> Result<Self> {
        let count: u32 = from.get()?;
        Ok(Self(from.take(usize::try_from(count).map_err(|_| Error::Truncated)?)?))
    }
    fn put(&self, to: &mut Writer<'_>) -> Result<()> {
        u32::try_from(self.0.len()).map_err(|_| Error::NoSpace)?.put(to)?;
        to.bytes(self.0)
    }
}

/// Declares a message enum whose variants are `Name = type { field: type, .. }` and derives parse and emit from
/// that one list, so that what is read and what is written cannot drift apart.
macro_rules! messages {
    ($(#[$enum_doc:meta])* $Enum:ident {
        $($(#[$doc:meta])* $Name:ident = $kind:literal {
            $($(#[$field_doc:meta])* $field:ident: $ty:ty),* $(,)?
        })*
    }) => {
        $(#[$enum_doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum $Enum<'a> {
            $($(#[$doc])* $Name { $($(#[$field_doc])* $field: $ty),* },)*
        }

        impl<'a> $Enum<'a> {
            /// The type byte of this message.
            pub fn kind(&self) -> u8 {
                match self { $(Self::$Name { .. } => $kind,)* }
            }

            /// Parses one message from the front of `bytes`; gives its tag and fields.
            ///
            /// Errors: `Truncated`, `BadSize`, `UnknownType`, `Trailing`, `BadValue`.
            pub fn parse(bytes: &'a [u8]) -> $crate::Result<(u16, Self)> {
                let packet = $crate::Packet::new_checked(bytes)?;
                #[allow(unused_mut, reason = "a message without fields takes nothing")]
                let mut body = $crate::field::Reader::new(packet.body());
                let message = match packet.kind() {
                    $($kind => Self::$Name { $($field: body.get::<$ty>()?),* },)*
                    other => return Err($crate::Error::UnknownType(other)),
                };
                body.finish()?;
                Ok((packet.tag(), message))
            }

            /// Writes the message to the front of `bytes`; gives its length in bytes.
            ///
            /// Errors: `NoSpace`.
            pub fn emit(&self, tag: u16, bytes: &mut [u8]) -> $crate::Result<usize> {
                #[allow(unused_mut, reason = "every enum has at least one message with fields")]
                let mut to = $crate::field::Writer::after(bytes, $crate::HEADER_LEN)?;
                match self {
                    $(Self::$Name { $($field),* } => { $($crate::field::Field::put($field, &mut to)?;)* })*
                }
                let len = to.len();
                let size = u32::try_from(len).map_err(|_| $crate::Error::NoSpace)?;
                $crate::header::emit(bytes, size, self.kind(), tag)?;
                Ok(len)
            }
        }
    };
}
pub(crate) use messages;
