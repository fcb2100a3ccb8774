//! Structures as bytes: fields at the offsets that the kernel headers give them.
//!
//! [`layout!`](crate::layout) declares a structure whose wire form lies at explicit offsets; gaps are padding, written
//! as zeros. Nothing is ever reinterpreted in place, so no `unsafe` and no `repr(C)`.

/// A structure of fixed size that travels between program and kernel.
pub trait Layout: Sized {
    /// Bytes in memory.
    const BYTES: usize;

    /// Writes all bytes, padding as zeros. `out` shorter than [`Self::BYTES`] takes what fits of whole fields.
    fn put(&self, out: &mut [u8]);

    /// Reads the fields; bytes that `from` lacks read as zeros.
    fn get(from: &[u8]) -> Self;
}

/// Reads `N` bytes at `at`, zeros where `from` ends.
pub(crate) fn bytes_at<const N: usize>(from: &[u8], at: usize) -> [u8; N] {
    let mut bytes = [0; N];
    if let Some(rest) = from.get(at..) {
        let len = rest.len().min(N);
        bytes[..len].copy_from_slice(&rest[..len]);
    }
    bytes
}

macro_rules! integers {
    ($($type:ty),*) => {
        $(impl Layout for $type {
            const BYTES: usize = size_of::<$type>();
            fn put(&self, out: &mut [u8]) {
                if let Some(out) = out.get_mut(..Self::BYTES) {
                    out.copy_from_slice(&self.to_le_bytes());
                }
            }
            fn get(from: &[u8]) -> Self {
                Self::from_le_bytes(bytes_at(from, 0))
            }
        })*
    };
}
integers!(u8, i8, u16, i16, u32, i32, u64, i64);

impl<T: Layout + Copy, const N: usize> Layout for [T; N] {
    const BYTES: usize = T::BYTES * N;
    fn put(&self, out: &mut [u8]) {
        self.iter().zip(out.chunks_mut(T::BYTES)).for_each(|(item, out)| item.put(out));
    }
    fn get(from: &[u8]) -> Self {
        core::array::from_fn(|index| T::get(from.get(index * T::BYTES..).unwrap_or_default()))
    }
}

/// Declares a structure with fields at explicit byte offsets and implements [`Layout`](crate::Layout) for it.
///
/// `layout! { /// Doc. pub struct Name: 16 { 0 first: u64, 8 second: u32 } }`
#[macro_export]
macro_rules! layout {
    ($( $(#[$meta:meta])* pub struct $name:ident: $bytes:literal {
        $( $(#[$field_meta:meta])* $at:literal $field:ident: $type:ty ),* $(,)?
    } )*) => {
        $(
            $(#[$meta])*
            #[derive(Clone, Copy, Debug, PartialEq, Eq)]
            pub struct $name {
                $( $(#[$field_meta])* pub $field: $type, )*
            }

            impl $crate::Layout for $name {
                const BYTES: usize = $bytes;

                fn put(&self, out: &mut [u8]) {
                    let len = out.len().min($bytes);
                    out[..len].fill(0);
                    $( if let Some(out) = out.get_mut($at..) {
                        $crate::Layout::put(&self.$field, out);
                    } )*
                }

                fn get(from: &[u8]) -> Self {
                    Self { $( $field: $crate::Layout::get(from.get($at..).unwrap_or_default()), )* }
                }
            }

            impl $name {
                /// The bytes in memory.
                #[must_use]
                pub fn to_bytes(&self) -> [u8; $bytes] {
                    let mut bytes = [0; $bytes];
                    $crate::Layout::put(self, &mut bytes);
                    bytes
                }

                /// Reads the structure; bytes that `from` lacks read as zeros.
                #[must_use]
                pub fn from_bytes(from: &[u8]) -> Self {
                    $crate::Layout::get(from)
                }
            }

            impl Default for $name {
                fn default() -> Self {
                    <Self as $crate::Layout>::get(&[])
                }
            }

            const _: () = {
                $( assert!($at + <$type as $crate::Layout>::BYTES <= $bytes, "field behind the end"); )*
            };
        )*
    };
}

#[cfg(test)]
mod tests {
    use crate::Layout;

    crate::layout! {
        /// Sample.
        pub struct Sample: 16 {
            /// First.
            0 first: u16,
            /// Second.
            8 second: [u32; 2],
        }
    }

    #[test]
    fn fields_land_at_their_offsets_and_padding_is_zero() {
        let bytes = Sample { first: 0x0102, second: [3, 4] }.to_bytes();
        assert_eq!(bytes, [2, 1, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 4, 0, 0, 0]);
        assert_eq!(Sample::from_bytes(&bytes), Sample { first: 0x0102, second: [3, 4] });
    }

    #[test]
    fn a_short_buffer_reads_as_zeros_and_takes_whole_fields_only() {
        assert_eq!(Sample::from_bytes(&[7]).first, 7);
        let mut out = [0xff; 10];
        Sample { first: 1, second: [2, 3] }.put(&mut out);
        assert_eq!(out, [1, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    }
}
