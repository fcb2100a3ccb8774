//! Log reading (FORMAT sections 3 and 7), sector by sector.
//!
//! The caller does the I/O:
//!
//! ```text
//! let mut replay = Replay::new(volume_sectors);
//! while let Some(run) = replay.next_wanted() {
//!     replay.feed(&read_sectors(run))?;
//! }
//! let replayed = replay.finish()?;
//! ```
//!
//! Only the used part of an extension is asked for, in growing pieces. A log that ends in anything
//! but END_OF_LOG is refused: there are no checksums, so a guess where it should have ended could
//! lose or invent files. Skiff's own writer ([`crate::log`]) never leaves such an end behind.

use crate::decode::{Decoder, Slot};
use crate::header::Version;
use crate::space::{ClaimError, Run, Space};
use crate::symbols::Symbol;
use crate::tree::{ROOT, Tree};
use crate::varint::Reader;
use crate::{Cause, Error, LABEL_MAX, MAGIC, SECTOR, SECTOR_BYTES};
use alloc::vec::Vec;

/// Parsing stops.
pub const END_OF_LOG: u8 = 1;
/// A record, or its beginning.
pub const RECORD: u8 = 2;
/// Further bytes of the record.
pub const RECORD_MORE: u8 = 3;
/// Where a session of Nanos ended; skipped.
pub const END_OF_SEGMENT: u8 = 4;
/// The log continues in another extension.
pub const LINK: u8 = 5;

/// Sectors asked for first in an extension, and at most at once.
const FIRST_PIECE: u64 = 8;
const LARGEST_PIECE: u64 = 128;

/// A log extension.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extension {
    /// Its sectors.
    pub run: Run,
    /// Layout of the records inside.
    pub version: Version,
}

/// Where the log ends: what a writer needs to append to it.
#[derive(Clone, Debug)]
pub struct Tail {
    /// Byte offset of END_OF_LOG within the last extension.
    pub offset: u64,
    /// The bytes of END_OF_LOG's sector that stand before it.
    pub sector: Vec<u8>,
}

/// A log that was read to its end.
#[derive(Debug)]
pub struct Replayed {
    /// All objects; [`ROOT`] is the root tuple.
    pub tree: Tree,
    /// Identity of the volume, bytes in disk order.
    pub uuid: [u8; 16],
    /// Label, without the terminating zero.
    pub label: Vec<u8>,
    /// The chain, sector 0 first.
    pub extensions: Vec<Extension>,
    /// Where to append.
    pub tail: Tail,
    /// The dictionary, slot 1 first.
    pub slots: Vec<Slot>,
    /// Names that have more than one slot.
    pub duplicates: Vec<Symbol>,
    /// Attribute settings in the log, and how many of them no longer matter.
    pub entries: u64,
    /// See `entries`.
    pub obsolete: u64,
    /// All sectors but the log's.
    pub space: Space,
}

/// A replay under way.
#[derive(Debug)]
pub struct Replay {
    tree: Tree,
    decoder: Decoder,
    space: Space,
    uuid: [u8; 16],
    label: Vec<u8>,
    extensions: Vec<Extension>,
    /// The extension being read.
    current: Run,
    version: Option<Version>,
    /// Sectors of it that were fed.
    loaded: u64,
    /// Its bytes from `base` on; parsed up to `base + parsed`.
    window: Vec<u8>,
    base: u64,
    parsed: usize,
    /// Sectors to ask for next.
    piece: u64,
    /// A record that spans pieces, and its missing bytes.
    partial: Vec<u8>,
    missing: u64,
    finished: bool,
}

/// What one parsing step found.
enum Step {
    Again,
    Link(Run),
    End,
}

impl Replay {
    /// Starts on a volume of `sectors` sectors.
    #[must_use]
    pub fn new(sectors: u64) -> Self {
        Replay {
            tree: Tree::new(),
            decoder: Decoder::default(),
            space: Space::new(sectors),
            uuid: [0; 16],
            label: Vec::new(),
            extensions: Vec::new(),
            current: Run { sector: 0, count: 1 },
            version: None,
            loaded: 0,
            window: Vec::new(),
            base: 0,
            parsed: 0,
            piece: FIRST_PIECE,
            partial: Vec::new(),
            missing: 0,
            finished: false,
        }
    }

    /// The sectors to feed next; `None` when the end was reached.
    #[must_use]
    pub fn next_wanted(&self) -> Option<Run> {
        let left = self.current.count.saturating_sub(self.loaded);
        if self.finished || left == 0 {
            return None;
        }
        // `enter` checked that the extension lies inside the volume, so the sum cannot overflow.
        Some(Run { sector: self.current.sector.saturating_add(self.loaded), count: left.min(self.piece) })
    }

    /// Takes the bytes of the wanted sectors. After an error the replay cannot go on.
    pub fn feed(&mut self, bytes: &[u8]) -> Result<(), Error> {
        let wanted = self.next_wanted().ok_or_else(|| self.error(Cause::WrongFeed))?;
        if bytes.len() as u64 != wanted.count.saturating_mul(SECTOR_BYTES) {
            return Err(self.error(Cause::WrongFeed));
        }
        if self.loaded == 0 && self.current.sector == 0 && self.space.claim(self.current).is_err() {
            return Err(self.error(Cause::Truncated));
        }
        self.drop_parsed();
        self.window.extend_from_slice(bytes);
        self.loaded += wanted.count;
        self.piece = (self.piece * 2).min(LARGEST_PIECE);
        self.parse()
    }

    /// The result. Error: the log's end was not reached, or it has no root tuple.
    pub fn finish(self) -> Result<Replayed, Error> {
        if !self.finished {
            return Err(self.error(Cause::Truncated));
        }
        if self.decoder.slots().first() != Some(&Slot::Object(ROOT)) || self.tree.tuple(ROOT).is_none() {
            return Err(self.error(Cause::NotATuple));
        }
        let sector_start = self.parsed / SECTOR * SECTOR;
        let sector = self.window.get(sector_start..self.parsed).unwrap_or(&[]).to_vec();
        Ok(Replayed {
            tail: Tail { offset: self.base + self.parsed as u64, sector },
            tree: self.tree,
            uuid: self.uuid,
            label: self.label,
            extensions: self.extensions,
            slots: self.decoder.slots().to_vec(),
            duplicates: self.decoder.duplicates().to_vec(),
            entries: self.decoder.entries,
            obsolete: self.decoder.obsolete,
            space: self.space,
        })
    }

    fn error(&self, cause: Cause) -> Error {
        let within = self.base.saturating_add(self.parsed as u64);
        Error { at: self.current.sector.saturating_mul(SECTOR_BYTES).saturating_add(within), cause }
    }

    /// Forgets the sectors before the one where parsing goes on.
    fn drop_parsed(&mut self) {
        let whole = self.parsed / SECTOR * SECTOR;
        self.window.drain(..whole.min(self.window.len()));
        self.base += whole as u64;
        self.parsed -= whole;
    }

    fn parse(&mut self) -> Result<(), Error> {
        loop {
            let step = match self.step() {
                Ok(step) => step,
                // More of this extension may complete what was cut off.
                Err(Cause::Truncated) if self.loaded < self.current.count => return Ok(()),
                Err(cause) => return Err(self.error(cause)),
            };
            match step {
                Step::Again => {}
                Step::End if self.missing > 0 => {
                    return Err(self.error(Cause::UnfinishedRecord(self.missing)));
                }
                Step::End => {
                    self.finished = true;
                    return Ok(());
                }
                Step::Link(run) => return self.enter(run).map_err(|cause| self.error(cause)),
            }
        }
    }

    /// Goes on in the extension that a link names.
    fn enter(&mut self, run: Run) -> Result<(), Cause> {
        match self.space.claim(run) {
            Ok(()) => {}
            Err(ClaimError::Outside) => return Err(Cause::LinkOutside(run.sector)),
            Err(ClaimError::Overlap) => return Err(Cause::LinkOverlap(run.sector)),
        }
        self.current = run;
        self.version = None;
        self.loaded = 0;
        self.window.clear();
        self.base = 0;
        self.parsed = 0;
        self.piece = FIRST_PIECE;
        Ok(())
    }

    /// Parses one header or record. `parsed` moves only when the whole of it was there.
    fn step(&mut self) -> Result<Step, Cause> {
        let Some(version) = self.version else { return self.extension_header() };
        let window = core::mem::take(&mut self.window);
        let mut reader = Reader::new(window.get(self.parsed..).unwrap_or(&[]));
        let result = self.record(&mut reader, version);
        let used = reader.position();
        self.window = window;
        if result.is_ok() && !matches!(result, Ok(Step::End)) {
            self.parsed += used;
        }
        result
    }

    fn extension_header(&mut self) -> Result<Step, Cause> {
        let mut reader = Reader::new(&self.window);
        if reader.take(MAGIC.len() as u64)? != MAGIC {
            return Err(Cause::Magic);
        }
        let version = Version::from_number(reader.varint()?)?;
        let found = reader.varint()?;
        if found != self.current.count {
            return Err(Cause::ExtensionLength { linked: self.current.count, found });
        }
        if self.current.sector == 0 {
            self.uuid = reader.take(16)?.try_into().map_err(|_| Cause::Truncated)?;
            self.label.clear();
            loop {
                match reader.byte()? {
                    0 => break,
                    _ if self.label.len() == LABEL_MAX => return Err(Cause::Label),
                    byte => self.label.push(byte),
                }
            }
        }
        self.parsed = reader.position();
        self.version = Some(version);
        self.extensions.push(Extension { run: self.current, version });
        Ok(Step::Again)
    }

    fn record(&mut self, reader: &mut Reader<'_>, version: Version) -> Result<Step, Cause> {
        match reader.byte()? {
            END_OF_LOG => Ok(Step::End),
            END_OF_SEGMENT => Ok(Step::Again),
            LINK => match (reader.varint()?, reader.varint()?) {
                (0, _) | (_, 0) => Err(Cause::BadLink),
                (sector, count) => Ok(Step::Link(Run { sector, count })),
            },
            RECORD if self.missing > 0 => Err(Cause::UnfinishedRecord(self.missing)),
            RECORD => {
                let total = reader.varint()?;
                self.piece_of_record(reader, total, version)
            }
            RECORD_MORE => self.piece_of_record(reader, self.missing, version),
            other => Err(Cause::RecordType(other)),
        }
    }

    /// Takes the next piece of a record that still lacks `missing` bytes.
    fn piece_of_record(&mut self, reader: &mut Reader<'_>, missing: u64, version: Version) -> Result<Step, Cause> {
        let length = reader.varint()?;
        if length > missing {
            return Err(Cause::OversizedPiece);
        }
        let bytes = reader.take(length)?;
        self.missing = missing - length;
        if self.missing > 0 {
            self.partial.extend_from_slice(bytes);
        } else if self.partial.is_empty() {
            self.apply(bytes, version)?;
        } else {
            let mut payload = core::mem::take(&mut self.partial);
            payload.extend_from_slice(bytes);
            self.apply(&payload, version)?;
        }
        Ok(Step::Again)
    }

    /// A cut-off *inside* a record is damage, not a reason to read further.
    fn apply(&mut self, payload: &[u8], version: Version) -> Result<(), Cause> {
        self.decoder.apply(&mut self.tree, payload, version).map_err(|cause| match cause {
            Cause::Truncated => Cause::StrayBytes(0),
            other => other,
        })
    }
}
