//! ELF notes: named, typed blobs that a linker puts into `PT_NOTE` segments.
//!
//! A note is three 32-bit words (name length, body length, type), the name, the body; name and body are padded to the
//! segment's alignment, 4 or 8. (The 64-bit words of the gABI's ELF64 text are used by nobody.)

const HEADER_BYTES: usize = 12;

/// One note.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Note<'a> {
    /// Who defined it, without the final NUL.
    pub name: &'a [u8],
    /// Meaning of the body; defined by `name`.
    pub kind: u32,
    /// The body.
    pub body: &'a [u8],
}

impl Note<'_> {
    /// The body as an address: 4 or 8 bytes, little endian.
    #[must_use]
    pub fn address(&self) -> Option<u64> {
        match self.body.len() {
            4 => self.body.try_into().ok().map(u32::from_le_bytes).map(u64::from),
            8 => self.body.try_into().ok().map(u64::from_le_bytes),
            _ => None,
        }
    }
}

/// The notes of one segment; ends at the first damaged one.
#[derive(Clone, Debug)]
pub struct Notes<'a> {
    rest: &'a [u8],
    align: usize,
}

impl<'a> Notes<'a> {
    /// The notes in `bytes`, the contents of a segment with alignment `align` (8 means 8, all else 4).
    #[must_use]
    pub fn new(bytes: &'a [u8], align: u64) -> Self {
        Self { rest: bytes, align: if align == 8 { 8 } else { 4 } }
    }

    fn take(&mut self) -> Option<Note<'a>> {
        let word = |at: usize| -> Option<u32> {
            self.rest.get(at..at + 4).and_then(|word| word.try_into().ok()).map(u32::from_le_bytes)
        };
        let name_len = usize::try_from(word(0)?).ok()?;
        let body_len = usize::try_from(word(4)?).ok()?;
        let kind = word(8)?;
        let name_end = HEADER_BYTES.checked_add(name_len)?;
        let body_at = name_end.checked_next_multiple_of(self.align)?;
        let body_end = body_at.checked_add(body_len)?;
        let name = self.rest.get(HEADER_BYTES..name_end)?;
        let body = self.rest.get(body_at..body_end)?;
        let next = body_end.checked_next_multiple_of(self.align)?;
        self.rest = self.rest.get(next..).unwrap_or_default();
        Some(Note { name: name.strip_suffix(&[0]).unwrap_or(name), kind, body })
    }
}

impl<'a> Iterator for Notes<'a> {
    type Item = Note<'a>;

    fn next(&mut self) -> Option<Note<'a>> {
        let note = self.take();
        if note.is_none() {
            self.rest = &[];
        }
        note
    }
}

/// The first note of this name and type in the contents of a `PT_NOTE` segment.
#[must_use]
pub fn find_note<'a>(bytes: &'a [u8], align: u64, name: &str, kind: u32) -> Option<Note<'a>> {
    Notes::new(bytes, align).find(|note| note.name == name.as_bytes() && note.kind == kind)
}

#[cfg(test)]
mod tests {
    use super::*;

    const XEN: [u8; 44] = *b"\x04\0\0\0\x04\0\0\0\x01\0\0\0GNU\0abcd\
                             \x04\0\0\0\x08\0\0\0\x12\0\0\0Xen\0\x34\x12\x10\0\0\0\0\0";

    #[test]
    fn an_entry_address_is_found_behind_another_note() {
        let note = find_note(&XEN, 4, "Xen", 18).unwrap();
        assert_eq!(note.address(), Some(0x10_1234));
        assert!(find_note(&XEN, 4, "Xen", 17).is_none());
    }

    #[test]
    fn every_truncation_ends_the_list() {
        for len in 0..XEN.len() {
            assert!(find_note(&XEN[..len], 4, "Xen", 18).is_none(), "{len}");
        }
    }

    #[test]
    fn absurd_lengths_end_the_list() {
        let mut bytes = XEN;
        bytes[..8].fill(0xff);
        assert_eq!(Notes::new(&bytes, 8).count(), 0);
    }

    #[test]
    fn a_body_that_is_no_address_is_none() {
        assert_eq!(Note { name: b"Xen", kind: 18, body: &[1, 2] }.address(), None);
    }
}
