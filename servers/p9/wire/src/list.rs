//! The two lists of a walk: names in Twalk, qids in Rwalk. Both are `count[2]` and that many elements.
//!
//! A list is either borrowed from the wire (then already checked) or from a caller's slice (to be emitted).

use crate::field::{Field, Reader, Writer};
use crate::{Error, Qid, Result};

/// Most names in one Twalk (intro(5): MAXWELEM).
pub const MAX_WALK: usize = 16;
/// Length of a qid on the wire.
const QID_LEN: usize = 13;

/// The names of a Twalk.
#[derive(Clone, Copy)]
pub struct Names<'a>(Source<'a, &'a [u8]>);

/// The qids of an Rwalk.
#[derive(Clone, Copy)]
pub struct Qids<'a>(Source<'a, Qid>);

/// Where the elements are. Invariant of `Wire`: `bytes` parses as exactly `count` elements.
#[derive(Clone, Copy)]
enum Source<'a, T> {
    Slice(&'a [T]),
    Wire { bytes: &'a [u8], count: u16 },
}

impl<'a, T: Field<'a> + Copy> Source<'a, T> {
    fn len(&self) -> usize {
        match self {
            Self::Slice(items) => items.len(),
            Self::Wire { count, .. } => usize::from(*count),
        }
    }

    fn iter(&self) -> impl Iterator<Item = T> + use<'a, T> {
        let (slice, bytes): (&'a [T], &'a [u8]) = match *self {
            Self::Slice(items) => (items, &[]),
            Self::Wire { bytes, .. } => (&[], bytes),
        };
        let mut reader = Reader::new(bytes);
        let wire = core::iter::from_fn(move || if reader.rest().is_empty() { None } else { reader.get().ok() });
        slice.iter().copied().chain(wire)
    }

    fn put(&self, to: &mut Writer<'_>) -> Result<()> {
        let count = u16::try_from(self.len()).map_err(|_| Error::NoSpace)?;
        if self.len() > MAX_WALK {
            return Err(Error::BadValue);
        }
        count.put(to)?;
        self.iter().try_for_each(|item| item.put(to))
    }

    /// Takes `count[2]` and the elements; refuses more than a walk may have.
    fn get(from: &mut Reader<'a>) -> Result<Self> {
        let count: u16 = from.get()?;
        if usize::from(count) > MAX_WALK {
            return Err(Error::BadValue);
        }
        let mut ahead = from.clone();
        for _ in 0..count {
            ahead.get::<T>()?;
        }
        let len = from.rest().len() - ahead.rest().len();
        Ok(Self::Wire { bytes: from.take(len)?, count })
    }
}

macro_rules! list_field {
    ($List:ident, $Item:ty) => {
        impl<'a> $List<'a> {
            /// A list to emit; more than [`MAX_WALK`] elements are refused there.
            pub fn new(items: &'a [$Item]) -> Self {
                Self(Source::Slice(items))
            }
            /// Number of elements.
            pub fn len(&self) -> usize {
                self.0.len()
            }
            /// Whether there are none.
            pub fn is_empty(&self) -> bool {
                self.len() == 0
            }
            /// The elements in order.
            pub fn iter(&self) -> impl Iterator<Item = $Item> + use<'a> {
                self.0.iter()
            }
        }
        impl<'a> Field<'a> for $List<'a> {
            fn get(from: &mut Reader<'a>) -> Result<Self> {
                Source::get(from).map(Self)
            }
            fn put(&self, to: &mut Writer<'_>) -> Result<()> {
                self.0.put(to)
            }
        }
        impl PartialEq for $List<'_> {
            fn eq(&self, other: &Self) -> bool {
                self.iter().eq(other.iter())
            }
        }
        impl Eq for $List<'_> {}
        impl core::fmt::Debug for $List<'_> {
            fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                f.debug_list().entries(self.iter()).finish()
            }
        }
    };
}
list_field!(Names, &'a [u8]);
list_field!(Qids, Qid);

impl Qids<'_> {
    /// Length on the wire of a list of `count` qids, its count included.
    pub const fn wire_len(count: usize) -> usize {
        2 + count * QID_LEN
    }
}
